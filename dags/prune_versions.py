"""### Remove old versions, or list them.

By hand alone: **Trigger** opens a form with the model and how much to keep. Unless it is told to
remove them, a run lists what would go, as its XCom. What is live, was live before, is labelled or
pinned always stays. The release records stay too, and say when and by whom the files were removed.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from redraw_airflow.dags.callbacks import announce_failure
from redraw_airflow.dags.forms import prune_form
from redraw_airflow.operators.training import PruneOperator

with DAG(
    "prune_versions",
    description="Remove old versions of a model, or list which would go",
    doc_md=__doc__,
    tags=["redraw", "publication"],
    schedule=None,
    # Nothing starts it but a person, who must not find it paused when it matters.
    is_paused_upon_creation=False,
    catchup=False,
    max_active_runs=1,
    params=prune_form(),
    default_args={"on_failure_callback": announce_failure},
) as dag:
    PruneOperator(
        task_id="prune",
        model="{{ params.model }}",
        bucket=dag.param("bucket"),
        keep=dag.param("keep"),
        keep_days=dag.param("keep_days"),
        apply=dag.param("apply"),
        # A prune that was stopped is carried on by the next try.
        retries=2,
        retry_delay=timedelta(seconds=30),
        execution_timeout=timedelta(hours=2),
    )
