"""Make a version live again from a form."""

from redraw_airflow.dags import roll_back_model

dag = roll_back_model()
