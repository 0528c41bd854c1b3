"""Waits for model servers in Airflow's triggerer, which needs no worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from redraw.errors import RedrawError
from redraw.rollout.addresses import parse_servers
from redraw.rollout.watch import Plan, watch
from redraw_airflow.stages.credentials import using_connection


class RolloutTrigger(BaseTrigger):
    """Check model servers at intervals until each has a version or the time is up.

    The event is `{"version": …, "ready": …}`, or `{"error": …, "message": …}`. The stage that
    follows checks whether the servers give the recorded answers.

    Args:
        model: The definition's name.
        version: The version.
        servers: Their addresses, such as `grpc://models:8500`.
        timeout: How long to wait for them, in seconds from this trigger's start.
        gcp_conn_id: The Airflow connection that may ask Vertex AI.
        seconds: The interval between two checks.

    Example:
        >>> trigger = RolloutTrigger(
        ...     model="mnist", version=2026010203040500, servers=["grpc://models:8500"], timeout=600
        ... )
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
        """The form in which Airflow stores the trigger."""
        names = ("model", "version", "servers", "timeout", "gcp_conn_id", "seconds")
        path = f"{RolloutTrigger.__module__}.{RolloutTrigger.__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event, once."""
        check = sync_to_async(_servers_are_ready, thread_sensitive=False)
        end, ready = time.monotonic() + self.timeout, False
        try:
            while not (ready := await check(self.model, self.version, self.servers, self.gcp_conn_id)):
                if time.monotonic() + self.seconds > end:
                    break
                await asyncio.sleep(self.seconds)
        except RedrawError as err:
            yield _event(error=type(err).__name__, message=str(err))
            return
        yield _event(version=self.version, ready=ready)


def _event(**payload: object) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]


def _servers_are_ready(model: str, version: int, servers: Sequence[str], gcp_conn_id: str) -> bool:
    """Ask each address of model servers once, for at most some seconds.

    Returns:
        Whether there is nothing to wait for: all servers have the version, or one cannot load it.

    Raises:
        InvalidRequest: A server's address is malformed.
    """
    plan = Plan(servers=parse_servers(servers), model=model, version=version)
    with using_connection(gcp_conn_id):
        states = watch(plan)
    failed = any(state.state == "load_failed" for state in states)
    return failed or all(state.loaded_seconds is not None for state in states)
