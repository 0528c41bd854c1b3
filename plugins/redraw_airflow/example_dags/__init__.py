"""DAGs to copy into one's own DAGs folder: nothing imports them, and Airflow finds none of them here."""
