"""A DAG for each model, with its own form, and the schedule and owner of its definition."""

from redraw_airflow.dags import retrain_each

# Without names: a DAG for each definition that has a `schedule`.
globals().update(
    retrain_each(["mnist", "text_classifier"], dag_id="redraw_each_{model}", schedule="0 3 * * MON")
)
