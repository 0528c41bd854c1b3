"""Waits in Airflow's triggerer, which needs no worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from redraw.errors import RedrawError, StorageUnavailable
from redraw_airflow.sensors.events import Seen, look


class BucketTrigger(BaseEventTrigger):
    """Look at a bucket at intervals until a checkpoint, a version or a change of the live version is there.

    The event is `{"records": […]}`, or `{"error": …, "message": …}`. If the bucket does not answer, the
    trigger tries again.

    Args:
        event: `checkpoint`, `version` or `live`.
        arguments: `model`, `place` (the bucket or catalogue), `after` and `gcp_conn_id`.
        seconds: The interval between two looks.
        repeat: Whether to continue after the first event, and after an error: for an asset's watcher.

    Example:
        >>> trigger = BucketTrigger(
        ...     event="version",
        ...     arguments={"model": "mnist", "place": "gs://models", "after": 0, "gcp_conn_id": "models"},
        ... )
    """

    def __init__(
        self, *, event: str, arguments: Mapping[str, Any], seconds: float = 60.0, repeat: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.event = event
        self.arguments = dict(arguments)
        self.seconds = seconds
        self.repeat = repeat

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The form in which Airflow stores the trigger."""
        names = ("event", "arguments", "seconds", "repeat")
        path = f"{BucketTrigger.__module__}.{BucketTrigger.__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event; with `repeat`, one for each record."""
        seen: Seen = {}
        while True:
            try:
                records = await sync_to_async(look, thread_sensitive=False)(self.event, self.arguments, seen)
            except RedrawError as err:
                # Nothing restarts a watcher, so it must survive a bucket that refuses for a while.
                if not self.repeat and not isinstance(err, StorageUnavailable):
                    yield _event(error=type(err).__name__, message=str(err))
                    return
                self.log.warning("the look failed: %s", err)
                records = []
            if records and not self.repeat:
                yield _event(records=records)
                return
            for record in records:
                yield _event(records=[record])
            await asyncio.sleep(self.seconds)


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]


class CheckpointArrived(BucketTrigger):
    """Yield an event for each checkpoint that arrives in a catalogue, for an asset's watcher.

    Args:
        model: The definition's name.
        catalogue: Folder or `gs://` URI of the catalogue.
        after: Only weights that were trained after this time, `YYYY-MM-DDTHH:MM:SSZ`. After a restart of the
            triggerer, each of them is an event again; exporting one again changes nothing.
        gcp_conn_id: The Airflow connection that may read the catalogue.
        seconds: The interval between two looks.

    Example:
        >>> watcher = AssetWatcher(
        ...     name="churn",
        ...     trigger=CheckpointArrived(
        ...         model="churn", catalogue="gs://checkpoints", after="2026-01-01T00:00:00Z"
        ...     ),
        ... )
    """

    def __init__(
        self,
        *,
        model: str,
        catalogue: str,
        after: str,
        gcp_conn_id: str = "google_cloud_default",
        seconds: float = 60.0,
    ) -> None:
        arguments = {"model": model, "place": catalogue, "after": after, "gcp_conn_id": gcp_conn_id}
        super().__init__(event="checkpoint", arguments=arguments, seconds=seconds, repeat=True)
