"""A DAG that waits after each publication until the servers of REDRAW_SERVERS have the version."""

from typing import Any

from airflow.sdk import Asset, dag, task

from redraw_airflow import ConfirmRolloutOperator


@dag(schedule=[Asset("redraw_releases")])
def redraw_rollout() -> None:
    """Confirm each version in the triggerer; roll back if a server does not load it."""

    @task
    def published(triggering_asset_events: Any) -> list[dict[str, Any]]:
        events = triggering_asset_events[Asset("redraw_releases")]
        return [{"model": event.extra["model"], "version": event.extra["version"]} for event in events]

    ConfirmRolloutOperator.partial(
        task_id="confirm_rollout", on_failure="roll-back", only_live=True, deferrable=True, timeout=600
    ).expand_kwargs(published())


example = redraw_rollout()
