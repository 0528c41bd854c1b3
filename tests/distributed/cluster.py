"""An Airflow of several machines: Celery workers that share PostgreSQL, Redis and a bucket, and no folder."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.processes import Service, end_services, last_lines, start_service
from redraw_airflow.standalone.services import read_password
from redraw_airflow.standalone.settings import Settings, airflow_environment
from tests.paths import TESTS

__all__ = ["Cluster", "run_cluster"]

_MIGRATION_SECONDS = 180.0
_START_SECONDS = 240.0


@dataclass
class Cluster:
    """The running cluster.

    Attributes:
        settings: Where the central services keep their state and listen.
        environment: Of every process of it.
        until: Polls a condition.
        services: What runs, by name.
        killed: The workers that were killed.
    """

    settings: Settings
    environment: Mapping[str, str]
    until: Callable[..., None]
    services: dict[str, Service] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)

    def start(self, name: str, *arguments: str, more: Mapping[str, str] | None = None) -> Service:
        """Start a command of Airflow's, in the background."""
        command = [str(Path(sys.executable).parent / "airflow"), *arguments]
        log = self.settings.state / f"{name}.log"
        self.services[name] = start_service(name, command, {**self.environment, **(more or {})}, log)
        return self.services[name]

    def start_worker(self, name: str, queue: str, concurrency: int) -> None:
        """Start a worker on a machine of its own, for one queue."""
        machine = self.settings.state / name
        folders = {key: machine / key.lower() for key in ("HOME", "TMPDIR", "AIRFLOW_HOME")}
        for folder in folders.values():
            folder.mkdir(parents=True)
        self.start(
            name,
            "celery",
            "worker",
            "--queues",
            queue,
            "--concurrency",
            str(concurrency),
            "--skip-serve-logs",
            "--celery-hostname",
            f"{name}@%h",
            "--without-gossip",
            "--without-mingle",
            more={key: str(folder) for key, folder in folders.items()},
        )

    def is_ready(self, worker: str) -> bool:
        """Whether a worker takes tasks."""
        self.check()
        return any(" ready." in line for line in last_lines(self.services[worker].log, 100))

    def end(self, name: str) -> None:
        """Ask a service to end, and wait until it has."""
        end_services([self.services.pop(name)])

    def cpu_seconds(self) -> float:
        """Processor time of all that runs, and of what it started and has ended."""
        families = (process for service in self.services.values() for process in service.family())
        return sum(sum(times[:4]) for process in families for times in _cpu_times(process))

    def kill(self, name: str) -> None:
        """End a worker's machine at once: every process on it, without a word to anybody."""
        family = self.services[name].family()
        for process in family:
            process.suspend()
        for process in family:
            process.kill()
        self.killed.append(name)
        del self.services[name]

    def check(self) -> None:
        """See that all of it still runs."""
        for service in self.services.values():
            assert service.is_running(), f"{service.name} ended: {last_lines(service.log, 20)}"

    def left(self, name: str) -> list[str]:
        """The files in a worker's folder for temporary files."""
        found = (self.settings.state / name / "tmpdir").rglob("*")
        return sorted(path.name for path in found if path.is_file())


@contextmanager
def run_cluster(
    settings: Settings, database: str, broker: str, more: Mapping[str, str], until: Callable[..., None]
) -> Iterator[tuple[Cluster, AirflowApi]]:
    """The central services of a cluster, without workers yet, for as long as the context lasts."""
    settings.logs.mkdir(parents=True)
    cluster = Cluster(settings, _environment(settings, database, broker, more), until)
    password = read_password(settings)
    try:
        migration = cluster.start("migration", "db", "migrate")
        until(lambda: not migration.is_running(), "the database's migration", _MIGRATION_SECONDS, every=0.5)
        del cluster.services["migration"]
        cluster.start("api-server", "api-server", "--host", "127.0.0.1")
        cluster.start("scheduler", "scheduler", "--skip-serve-logs")
        cluster.start("dag-processor", "dag-processor")
        until(lambda: _is_healthy(cluster), "Airflow", _START_SECONDS, every=1)
        with AirflowApi(settings.airflow_url, "admin", password) as api:
            yield cluster, api
    finally:
        end_services(cluster.services.values(), seconds=10)


def _environment(settings: Settings, database: str, broker: str, more: Mapping[str, str]) -> dict[str, str]:
    options = {
        "CORE__EXECUTOR": "CeleryExecutor",
        "CORE__PARALLELISM": "16",
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "API__SECRET_KEY": secrets.token_urlsafe(32),
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "CELERY__BROKER_URL": broker,
        "CELERY__RESULT_BACKEND": f"db+postgresql://{database}",
        # A worker that is gone is given up after this many seconds, instead of 300.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "3",
    }
    base = {key: value for key, value in airflow_environment(settings).items() if key != "REDRAW_STATE"}
    return {
        **base,
        "PYTHONPATH": os.pathsep.join([base["PYTHONPATH"], os.fspath(TESTS)]),
        "REDRAW_TENSORFLOW_QUEUE": "tensorflow",
        **{f"AIRFLOW__{name}": value for name, value in options.items()},
        **more,
    }


def _cpu_times(process: psutil.Process) -> Iterator[tuple[float, ...]]:
    """User, system, and the same of children that it has waited for; nothing of one that has gone."""
    with suppress(psutil.NoSuchProcess):
        yield process.cpu_times()


def _is_healthy(cluster: Cluster) -> bool:
    cluster.check()
    try:
        answer = httpx.get(
            f"{cluster.settings.airflow_url}/api/v2/monitor/health", trust_env=False, timeout=10
        )
        parts = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return False
    needed = ("metadatabase", "scheduler", "dag_processor")
    return all(parts.get(part, {}).get("status") == "healthy" for part in needed)
