"""Train the form's model and publish it. Pass a model and a schedule to retrain it regularly."""

from redraw_airflow.dags import retrain_and_export

dag = retrain_and_export()
