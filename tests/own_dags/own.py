"""DAGs of one's own, a bundle of the running instance: what a scheduler and a triggerer are needed for."""

import os
import sys
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, task, task_group

from redraw_airflow import CheckpointArrived, NewVersionSensor, model_asset
from redraw_airflow.taskflow import export, push, train, validate

MODEL, SLOW = "line_module", "line_slow"
BUCKET, CATALOGUE = f"{os.environ['REDRAW_MODEL_BUCKET']}/own", f"{os.environ['REDRAW_CHECKPOINTS']}/own"
ARRIVALS = Asset(
    "own_checkpoints",
    watchers=[
        AssetWatcher(
            name="arrived",
            trigger=CheckpointArrived(
                model=MODEL, catalogue=CATALOGUE, after="2020-01-01T00:00:00Z", seconds=2
            ),
        )
    ],
)


@dag(schedule=None)
def own_stopped() -> None:
    """Two trainings that do not get to their end; what comes after looks at why."""

    @task(trigger_rule="all_done")
    def tell(ti: Any) -> dict[str, Any]:
        left = {name: ti.xcom_pull(task_ids=name, key="failure") for name in ("timed_out", "marked")}
        return {name: failure and failure["error"] for name, failure in left.items()}

    # In processes of their own, which are to end with the tasks.
    slow = {"model": SLOW, "python": sys.executable}
    timed_out = train(task_id="timed_out", execution_timeout=timedelta(seconds=20), **slow)
    marked = train(task_id="marked", **slow)
    [timed_out, marked] >> tell()


@dag(schedule=[ARRIVALS], render_template_as_native_obj=True)
def own_arrived() -> None:
    """Publishes what arrived; a sensor waits for the version in the triggerer."""

    @task
    def newest(triggering_asset_events: Any) -> dict[str, Any]:
        records = [event.extra["payload"]["records"][0] for event in triggering_asset_events[ARRIVALS]]
        return max(records, key=lambda record: str(record["trained_at"]))

    @task
    def take(release: dict[str, Any]) -> int:
        return int(release["version"])

    @task_group
    def publish(checkpoint: Any) -> None:
        exported = export(model=MODEL, checkpoint=checkpoint)
        saved_model = "{{ ti.xcom_pull(task_ids='publish.export') }}"
        report = validate(model=MODEL, saved_model=saved_model, against="{{ none }}")
        exported >> report
        push(model=MODEL, bucket=BUCKET, saved_model=saved_model, report=report, make_live="{{ True }}")

    arrived = NewVersionSensor(
        task_id="arrived", model=MODEL, bucket=BUCKET, deferrable=True, poke_interval=1, timeout=300
    )
    publish(newest())
    take(arrived.output)


@dag(schedule=[model_asset(BUCKET, MODEL)])
def own_after() -> None:
    """Started by whatever publishes the model, with what changed."""

    @task
    def announce(triggering_asset_events: Any) -> list[str]:
        events = [event for found in triggering_asset_events.values() for event in found]
        return [f"{event.extra['kind']} {event.extra['model']}" for event in events]

    announce()


own_stopped()
own_arrived()
own_after()
