"""Export each checkpoint that arrives in the catalogue, whichever program trained it."""

from typing import Any

from airflow.sdk import Asset, AssetWatcher, dag, task

from redraw_airflow.sensors.triggers import CheckpointArrived
from redraw_airflow.taskflow import export, push, validate

MODEL, CATALOGUE = "mnist", "gs://checkpoints"
ARRIVALS = Asset(
    "mnist_checkpoints",
    watchers=[
        AssetWatcher(
            name="arrived",
            trigger=CheckpointArrived(model=MODEL, catalogue=CATALOGUE, after="2026-01-01T00:00:00Z"),
        )
    ],
)


@dag(schedule=[ARRIVALS])
def redraw_export_on_arrival() -> None:
    """Publish the newest checkpoint that arrived; nothing becomes live."""

    @task
    def arrived(triggering_asset_events: Any) -> list[dict[str, Any]]:
        # Several checkpoints may have arrived before the run started. An event has a checkpoint's record.
        events = triggering_asset_events[ARRIVALS]
        return [record for event in events for record in event.extra["payload"]["records"]]

    @task
    def newest(records: list[dict[str, Any]]) -> dict[str, Any]:
        return max(records, key=lambda record: str(record["trained_at"]))

    exported = export(model=MODEL, checkpoint=newest(arrived()))
    push(model=MODEL, saved_model=exported, report=validate(model=MODEL, saved_model=exported))


example = redraw_export_on_arrival()
