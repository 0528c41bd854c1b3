"""The running services and their ports, saved in the state folder, and a lock for one command at a time."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redraw.errors import InvalidRecord
from redraw.records.codec import JsonMismatch, decode_dataclass, encode_dataclass
from redraw.records.schema import SCHEMA, check_schema
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.processes import Service
from redraw_airflow.standalone.settings import Settings

_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Instance:
    """The services that were started from one state folder.

    Attributes:
        airflow_port: The port that Airflow listens on.
        gcs_port: The port that the storage server listens on.
        services: Name to service, in the order in which they were started.
    """

    airflow_port: int
    gcs_port: int
    services: Mapping[str, Service] = field(default_factory=dict)

    def running(self) -> dict[str, Service]:
        """The services that still run."""
        return {name: service for name, service in self.services.items() if service.is_running()}


def read_instance(state: Path) -> Instance | None:
    """Read the services that were started from the state folder; None if there are none.

    Raises:
        EmbeddedError: The file is damaged.
    """
    path = _path(state)
    try:
        return decode_dataclass(Instance, check_schema(json.loads(path.read_text()), _SCHEMA, str(path)))
    except FileNotFoundError:
        return None
    except (InvalidRecord, JsonMismatch, ValueError) as err:
        raise EmbeddedError(
            f"{path}: the list of running services cannot be read: {err}. End the services by hand, then"
            " remove this file."
        ) from err


def keep_instance(state: Path, instance: Instance) -> None:
    """Save the services, so that a later command finds them."""
    path = _path(state)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({SCHEMA: _SCHEMA, **encode_dataclass(instance)}, indent=2, allow_nan=False))
    os.replace(fresh, path)


def forget_instance(state: Path) -> None:
    """Save that nothing is running."""
    _path(state).unlink(missing_ok=True)


def keep_ports(settings: Settings, instance: Instance | None) -> Settings:
    """The settings with the ports of an instance that still runs.

    Raises:
        EmbeddedError: The settings name another port than the one it listens on.
    """
    if instance is None or not instance.running():
        return settings
    ports = {"airflow": instance.airflow_port, "gcs": instance.gcs_port}
    configured = {"airflow": settings.airflow_port, "gcs": settings.gcs_port}
    for service in sorted(settings.fixed):
        if configured[service] != ports[service]:
            raise EmbeddedError(
                f"{settings.state}: {service} already runs on port {ports[service]}, and port"
                f" {configured[service]} was asked for. Run 'make stop' first, or do not set the port."
            )
    return dataclasses.replace(settings, airflow_port=ports["airflow"], gcs_port=ports["gcs"])


@contextmanager
def lock_state(state: Path) -> Iterator[None]:
    """Keep other commands from starting or ending services of this folder.

    Raises:
        EmbeddedError: Another command has the lock.
    """
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise EmbeddedError(
                f"{state}: another command is starting or ending the services. Wait until that command ends."
            ) from err
        yield


def _path(state: Path) -> Path:
    return state / "services.json"
