"""A DAG that starts when a version is published; the asset's event names the version."""

from typing import Any

from airflow.sdk import Asset, dag, task


@dag(schedule=[Asset("redraw_releases")])
def redraw_after_release() -> None:
    """List the published versions."""

    @task
    def announce(triggering_asset_events: Any) -> list[str]:
        events = triggering_asset_events[Asset("redraw_releases")]
        return [f"{event.extra['model']} {event.extra['version']}: {event.extra['uri']}" for event in events]

    announce()


example = redraw_after_release()
