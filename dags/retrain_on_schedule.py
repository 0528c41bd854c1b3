"""Train and publish each model whose definition has a schedule: a DAG each, `retrain_<model>`."""

from redraw_airflow.dags import retrain_each

globals().update(retrain_each())
