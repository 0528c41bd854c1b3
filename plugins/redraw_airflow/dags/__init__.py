"""The DAGs as functions: a DAG file is two lines.

from redraw_airflow.dags import retrain_and_export
dag = retrain_and_export(model="mnist", schedule="0 3 * * MON")
"""

from redraw_airflow.dags.by_hand import mark_version, prune_versions, roll_back_model
from redraw_airflow.dags.reexporting import reexport_checkpoints
from redraw_airflow.dags.retraining import retrain_and_export, retrain_each
from redraw_airflow.dags.validating import validate_and_publish

__all__ = [
    "mark_version",
    "prune_versions",
    "reexport_checkpoints",
    "retrain_and_export",
    "retrain_each",
    "roll_back_model",
    "validate_and_publish",
]
