"""### Mark a version: canary or pinned, or no longer.

By hand alone: **Trigger** opens a form with the model, the version, the mark and the reason, and
so do the buttons on the version's page. A canary stands beside the live version, for the servers
that ask for it. A pinned version is never pruned. The history of the live pointer keeps who did it and why.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from redraw_airflow.dags.callbacks import announce_failure
from redraw_airflow.dags.forms import mark_form
from redraw_airflow.operators.training import MarkVersionOperator

with DAG(
    "mark_version",
    description="Make a version the canary, or pin it, or take the mark away",
    doc_md=__doc__,
    tags=["redraw", "publication"],
    schedule=None,
    # Nothing starts it but a person, who must not find it paused when it matters.
    is_paused_upon_creation=False,
    catchup=False,
    max_active_runs=1,
    params=mark_form(),
    default_args={"on_failure_callback": announce_failure},
) as dag:
    MarkVersionOperator(
        task_id="mark",
        model="{{ params.model }}",
        version=dag.param("version"),
        mark=dag.param("mark"),
        reason=dag.param("reason"),
        bucket=dag.param("bucket"),
        # A mark that stands already is left as it is.
        retries=2,
        retry_delay=timedelta(seconds=10),
        execution_timeout=timedelta(minutes=10),
    )
