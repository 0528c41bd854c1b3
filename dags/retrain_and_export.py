"""Train a model of the form and publish it; name a model and a schedule to have it done again and again."""

from redraw_airflow.dags import retrain_and_export

dag = retrain_and_export()
