"""Waiting in Airflow's triggerer, where it takes no worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from redraw.errors import RedrawError, StorageUnavailable
from redraw_airflow.sensors.events import look, servers_are_ready

__all__ = ["BucketTrigger", "CheckpointArrived", "RolloutTrigger"]


class BucketTrigger(BaseEventTrigger):
    """Look at a bucket now and then, until what is waited for is there.

    The event is `{"records": […]}`, or `{"error": …, "message": …}`; a bucket that does not answer is
    looked at again.

    Args:
        event: `checkpoint`, `version` or `live`.
        arguments: As `look` takes them.
        seconds: Between two looks.
        repeat: Whether to go on after the first event, for an asset's watcher.
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
        """Yield the event, or one a checkpoint."""
        arguments = dict(self.arguments)
        while True:
            try:
                records = await sync_to_async(look, thread_sensitive=False)(self.event, arguments)
            except StorageUnavailable as err:
                self.log.warning("looked in vain: %s", err)
                records = []
            except RedrawError as err:
                yield _event(error=type(err).__name__, message=str(err))
                return
            if records and not self.repeat:
                yield _event(records=records)
                return
            for record in records:
                arguments["after"] = record["trained_at"]
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


class RolloutTrigger(BaseTrigger):
    """Ask model servers now and then, until each has a version or time is up.

    The event is `{"version": …, "ready": …}`, or `{"error": …, "message": …}`. Whether the servers answer as
    recorded the stage finds out that follows.

    Args:
        model: The definition's name.
        version: The version.
        servers: As `ConfirmRolloutOperator` takes them.
        timeout: Seconds that they have, from this trigger's start.
        gcp_conn_id: The Airflow connection that may ask Vertex AI.
        seconds: Between two looks.
    """

    def __init__(
        self,
        *,
        model: str,
        version: int,
        servers: Sequence[str],
        timeout: float,
        gcp_conn_id: str = "google_cloud_default",
        seconds: float = 2.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.version = version
        self.servers = list(servers)
        self.timeout = timeout
        self.gcp_conn_id = gcp_conn_id
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow stores it."""
        names = ("model", "version", "servers", "timeout", "gcp_conn_id", "seconds")
        path = f"{RolloutTrigger.__module__}.{RolloutTrigger.__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event."""
        ask = sync_to_async(servers_are_ready, thread_sensitive=False)
        end, ready = time.monotonic() + self.timeout, False
        try:
            while not (ready := await ask(self.model, self.version, self.servers, self.gcp_conn_id)):
                if time.monotonic() + self.seconds > end:
                    break
                await asyncio.sleep(self.seconds)
        except RedrawError as err:
            yield _event(error=type(err).__name__, message=str(err))
            return
        yield _event(version=self.version, ready=ready)
