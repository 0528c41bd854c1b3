"""DAGs to copy into your DAGs folder. Nothing imports them, and Airflow does not read them here."""
