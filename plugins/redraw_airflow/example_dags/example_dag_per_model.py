"""A DAG for each model, with a form, a schedule and an owner of its own: as the definitions say."""

from redraw_airflow.dags import retrain_each

# Without names: a DAG for each definition that has a `schedule`.
globals().update(
    retrain_each(["mnist", "text_classifier"], dag_id="redraw_each_{model}", schedule="0 3 * * MON")
)
