"""Train a model and publish it: each Monday, and by hand."""

from redraw_airflow.dags import retrain_and_export

dag = retrain_and_export(schedule="0 3 * * MON")
