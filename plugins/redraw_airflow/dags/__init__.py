"""The DAGs as functions: a DAG file is two lines.

from redraw_airflow.dags import retrain_and_export
dag = retrain_and_export(model="mnist", schedule="0 3 * * MON")
"""

from redraw_airflow.dags.by_hand import mark_version as mark_version
from redraw_airflow.dags.by_hand import prune_versions as prune_versions
from redraw_airflow.dags.by_hand import roll_back_model as roll_back_model
from redraw_airflow.dags.reexporting import reexport_checkpoints as reexport_checkpoints
from redraw_airflow.dags.retraining import retrain_and_export as retrain_and_export
from redraw_airflow.dags.retraining import retrain_each as retrain_each
from redraw_airflow.dags.validating import validate_and_publish as validate_and_publish
