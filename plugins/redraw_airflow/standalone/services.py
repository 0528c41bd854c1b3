"""Start the storage server and Airflow's components, and wait until they answer.

Airflow's four components are started one by one, not by `airflow standalone`. That command opens the log
servers of scheduler and triggerer on every interface (`airflow/utils/serve_logs/core.py` fixes their address,
and the command does not pass on the flag that omits them), and it continues if one of its components ends.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import httpx

from redraw_airflow.settings import AIRFLOW_PORT, GCS_PORT
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.preflight import check_ports
from redraw_airflow.standalone.processes import Service, end_services, last_lines, start_service
from redraw_airflow.standalone.settings import HOST, USERS, Settings, airflow_environment, read_token
from redraw_airflow.standalone.state import Instance, keep_instance

_STORAGE = "storage server"
_API = "api-server"
_HEALTH_SECONDS = 300.0
_STORAGE_SECONDS = 30.0
_COMPONENTS = {
    _API: ("--host", HOST),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}


def start_services(settings: Settings, before: Instance | None, say: Callable[[str], None]) -> Instance:
    """Start the services of the instance that are not running, and wait until all are healthy.

    Args:
        settings: The ports and the state folder.
        before: The services that were started earlier.
        say: Called with a line for each step.

    Raises:
        EmbeddedError: A port is in use, or a service ended or is not healthy in time. The services that this
            call started are ended again.
    """
    services = before.running() if before else {}
    check_ports(_ports(settings, services))
    earlier = set(services)
    try:
        _start(settings, services, say)
    except EmbeddedError:
        end_services(service for name, service in services.items() if name not in earlier)
        raise
    return _keep(settings, services)


def start_storage(
    settings: Settings,
    services: dict[str, Service],
    say: Callable[[str], None],
    command: list[str] | None = None,
) -> None:
    """Start the storage server, unless it runs, and make its buckets.

    Args:
        settings: The port and the state folder.
        services: The running services; the server is added to them.
        say: Called with a line for each step.
        command: The command of another storage server than Redraw's own.

    Raises:
        EmbeddedError: The server ended, or does not answer in time.
    """
    if _STORAGE not in services:
        say(f"Starting the storage server on {settings.gcs_url}.")
        # It needs no environment, neither Airflow's nor the user's.
        _launch(settings, services, _STORAGE, command or _storage_command(settings), {})
    _wait(services, lambda: _has_buckets(settings), _STORAGE, settings.gcs_url, _STORAGE_SECONDS)


def check_services(services: Iterable[Service]) -> None:
    """Check that every service still runs.

    Raises:
        EmbeddedError: A service ended; the error shows the end of its log.
    """
    for service in services:
        if not service.is_running():
            raise EmbeddedError(
                f"{service.name}: the process has ended. Fix the cause that the last lines of {service.log}"
                " name, then run 'make run' again.",
                last_lines(service.log),
            )


def read_password(settings: Settings, user: str = "admin") -> str:
    """The password of a user of this Airflow, generated at the first call."""
    path = settings.passwords
    passwords = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in USERS if name not in passwords]
    if missing:
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(passwords | {name: secrets.token_urlsafe(12) for name in missing}, allow_nan=False)
        )
        return read_password(settings, user)
    return str(passwords[user])


def _start(settings: Settings, services: dict[str, Service], say: Callable[[str], None]) -> None:
    start_storage(settings, services, say)
    missing = [name for name in _COMPONENTS if name not in services]
    if missing:
        say(f"Starting Airflow on {settings.airflow_url}: {', '.join(missing)}. This can take a minute.")
        read_password(settings)
        _migrate(settings)
    airflow = str(Path(sys.executable).parent / "airflow")
    for name in missing:
        command = [airflow, name, *_COMPONENTS[name]]
        _launch(settings, services, name, command, airflow_environment(settings))
    _wait(services, lambda: _is_healthy(settings), "Airflow", settings.airflow_url, _HEALTH_SECONDS)


def _launch(
    settings: Settings,
    services: dict[str, Service],
    name: str,
    command: list[str],
    environment: Mapping[str, str],
) -> None:
    log = settings.logs / f"{name.replace(' ', '-')}.log"
    services[name] = start_service(name, command, environment, log)
    # Saved after each start, so that 'make stop' finds it in any case.
    _keep(settings, services)


def _keep(settings: Settings, services: dict[str, Service]) -> Instance:
    instance = Instance(
        airflow_port=settings.airflow_port, gcs_port=settings.gcs_port, services=dict(services)
    )
    keep_instance(settings.state, instance)
    return instance


def _ports(settings: Settings, running: dict[str, Service]) -> dict[str, int]:
    ports = {_API: (AIRFLOW_PORT.variable, settings.airflow_port)}
    ports[_STORAGE] = (GCS_PORT.variable, settings.gcs_port)
    return dict(port for name, port in ports.items() if name not in running)


def _storage_command(settings: Settings) -> list[str]:
    read_token(settings)
    return [
        # -I: modules of the current folder must not shadow its own.
        sys.executable,
        "-I",
        "-m",
        "redraw_airflow.standalone.storage_server",
        "--host",
        HOST,
        "--port",
        str(settings.gcs_port),
        "--root",
        str(settings.state / "gcs"),
        "--token-file",
        str(settings.token_file),
    ]


def _migrate(settings: Settings) -> None:
    log = settings.logs / "database.log"
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    with log.open("wb") as output:
        process = subprocess.run(  # noqa: S603 - this environment's own Airflow
            command,
            env=airflow_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if process.returncode:
        raise EmbeddedError(
            f"airflow db migrate: expected exit status 0, got {process.returncode}; see {log}. If the"
            " database is of another version of Airflow, remove it with 'make clean'.",
            last_lines(str(log)),
        )


def _has_buckets(settings: Settings) -> bool:
    """Make the buckets that are missing; False if the server does not answer yet."""
    url = f"{settings.gcs_url}/storage/v1/b"
    headers = {"Authorization": f"Bearer {read_token(settings)}"}
    for bucket in (settings.model_bucket, settings.checkpoint_bucket):
        name = {"name": bucket.bucket}
        try:
            answer = httpx.post(
                url, params={"project": "redraw"}, json=name, headers=headers, trust_env=False
            )
        except httpx.TransportError:
            return False
        if answer.status_code not in (httpx.codes.OK, httpx.codes.CONFLICT):
            return False
    return True


def _is_healthy(settings: Settings) -> bool:
    try:
        answer = httpx.get(f"{settings.airflow_url}/api/v2/monitor/health", trust_env=False, timeout=10)
        parts = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return False
    required = ("metadatabase", "scheduler", "dag_processor")
    return all(parts.get(part, {}).get("status") == "healthy" for part in required)


def _wait(
    services: dict[str, Service], answers: Callable[[], bool], name: str, url: str, seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while not answers():
        check_services(services.values())
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{name}: expected a valid answer at {url} within {seconds:g} s, got none."
                f" See the logs next to {next(iter(services.values())).log}."
            )
        time.sleep(0.25)
