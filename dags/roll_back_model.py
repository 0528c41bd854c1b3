"""### Make a version live that was live before.

By hand alone: **Trigger** opens a form with the model, the version (empty: the one before
the live one) and the reason. The version is compared with what was published before the
live pointer moves, and nothing is deleted, so it can be taken back the same way.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from redraw_airflow.dags.callbacks import announce_failure
from redraw_airflow.dags.forms import roll_back_form
from redraw_airflow.operators.training import RollBackOperator

with DAG(
    "roll_back_model",
    description="Make a version live that was live before",
    doc_md=__doc__,
    tags=["redraw", "publication"],
    schedule=None,
    # Nothing starts it but a person, who must not find it paused when it matters.
    is_paused_upon_creation=False,
    catchup=False,
    max_active_runs=1,
    params=roll_back_form(),
    default_args={"on_failure_callback": announce_failure},
) as dag:
    RollBackOperator(
        task_id="roll_back",
        model="{{ params.model }}",
        version=dag.param("version"),
        bucket=dag.param("bucket"),
        reason=dag.param("reason"),
        allow_older=dag.param("allow_older"),
        # A second try of a first one that did move the pointer would move it back again. Storage
        # that is unavailable is retried within the try.
        retries=0,
        execution_timeout=timedelta(minutes=10),
    )
