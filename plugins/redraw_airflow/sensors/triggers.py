"""Waiting in Airflow's triggerer, where it takes no worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from redraw.errors import RedrawError, StorageUnavailable
from redraw_airflow.sensors.events import Known, look

__all__ = ["BucketTrigger", "CheckpointArrived"]


class BucketTrigger(BaseEventTrigger):
    """Look at a bucket now and then, until what is waited for is there.

    The event is `{"records": […]}`, or `{"error": …, "message": …}`; a bucket that does not answer is
    looked at again.

    Args:
        event: `checkpoint`, `version` or `live`.
        arguments: As `look` takes them.
        seconds: Between two looks.
        repeat: Whether to go on after the first event, and after an error: for an asset's watcher.
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
        """As Airflow stores it."""
        return f"{BucketTrigger.__module__}.{BucketTrigger.__qualname__}", {
            "event": self.event,
            "arguments": self.arguments,
            "seconds": self.seconds,
            "repeat": self.repeat,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event, or one a record."""
        known: Known = {}
        while True:
            try:
                records = await sync_to_async(look, thread_sensitive=False)(self.event, self.arguments, known)
            except RedrawError as err:
                # A watcher is never started again by itself: it outlives a bucket that refuses for a while.
                if not self.repeat and not isinstance(err, StorageUnavailable):
                    yield _event(error=type(err).__name__, message=str(err))
                    return
                self.log.warning("looked in vain: %s", err)
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
    """For an asset's watcher: an event for each checkpoint that arrives in a catalogue.

    Args:
        model: The definition's name.
        catalogue: Folder or `gs://` URI of the catalogue.
        after: Only weights that were trained after this time, `YYYY-MM-DDTHH:MM:SSZ`. After a restart of the
            triggerer all of them are events once more; to export one again changes nothing.
        gcp_conn_id: The Airflow connection that may read the catalogue.
        seconds: Between two looks.

    Example:
        >>> watcher = AssetWatcher(
        ...     name="churn",
        ...     trigger=CheckpointArrived(
        ...         model="churn", catalogue="gs://checkpoints", after="2026-01-01T00:00:00Z"
        ...     ),
        ... )  # doctest: +SKIP
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
