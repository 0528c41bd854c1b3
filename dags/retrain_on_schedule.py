"""Train and publish models on schedule: a DAG `retrain_<model>` for each definition with a schedule."""

from redraw_airflow.dags import retrain_each

globals().update(retrain_each())
