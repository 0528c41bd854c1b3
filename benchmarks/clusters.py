"""A cluster for benchmarks: the one of the distributed tests, with the workshop's storage server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from benchmarks.harness import BenchmarkFailed, wait_until
from benchmarks.workshop import Workshop
from redraw_airflow.standalone.airflow_api import AirflowApi
from tests.conftest import free_port
from tests.distributed.cluster import Cluster, run_cluster
from tests.distributed.servers import find_missing, run_postgres, run_redis

__all__ = ["CELERY", "LOCAL", "BenchCluster", "open_cluster"]

CELERY, LOCAL = "CeleryExecutor", "LocalExecutor"
_READY_SECONDS = 180.0
_DAG_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class BenchCluster:
    """A running cluster, and a client of its REST API."""

    cluster: Cluster
    api: AirflowApi

    def start_workers(self, queue: str, names: list[str], concurrency: int) -> None:
        """Start workers of one queue, and wait until each accepts tasks."""
        for name in names:
            self.cluster.start_worker(name, queue, concurrency)
        for name in names:
            wait_until(lambda name=name: self.cluster.is_ready(name), f"worker {name}", _READY_SECONDS, 0.5)

    def restart_scheduler(self, executor: str, slots: int) -> None:
        """Replace the scheduler by one with the executor, and wait until it is in its loop."""
        self.cluster.end("scheduler")
        more = {"AIRFLOW__CORE__EXECUTOR": executor, "AIRFLOW__CORE__PARALLELISM": str(slots)}
        self.cluster.start("scheduler", "scheduler", "--skip-serve-logs", more=more)
        # The first heartbeat comes before the executor starts, the next one from the loop.
        self._wait_for_heartbeat()
        self._wait_for_heartbeat()

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until a DAG has been read."""
        self.api.wait_for_dag(dag_id, _DAG_SECONDS, self.cluster.check)

    def _wait_for_heartbeat(self) -> None:
        before = self._heartbeat()
        wait_until(lambda: self._heartbeat() > before, "the scheduler", _READY_SECONDS, 0.5)

    def _heartbeat(self) -> datetime:
        """The time of the latest heartbeat of a scheduler."""
        self.cluster.check()
        url = f"{self.cluster.settings.airflow_url}/api/v2/monitor/health"
        answer = httpx.get(url, trust_env=False, timeout=60).raise_for_status().json()
        return datetime.fromisoformat(answer["scheduler"]["latest_scheduler_heartbeat"])


@contextmanager
def open_cluster(workshop: Workshop) -> Iterator[BenchCluster]:
    """Run the central services with CeleryExecutor, without workers yet, within the context.

    Raises:
        BenchmarkFailed: PostgreSQL or Redis is not installed.
    """
    if missing := find_missing():
        raise BenchmarkFailed(
            f"a cluster: expected Debian's packages {', '.join(missing)}, got none."
            f" Run 'apt-get install {' '.join(missing)}'."
        )
    workshop.start_storage()
    workshop.say("Starting PostgreSQL, Redis and Airflow. This can take a minute.")
    port = free_port()
    folder = workshop.folder / f"cluster-{port}"
    folder.mkdir()
    settings = replace(workshop.settings, state=folder / "central", airflow_port=port)
    more = {
        "REDRAW_MODELS": "redraw.models,sample_models",
        "REDRAW_WORK": f"{workshop.settings.checkpoint_bucket}/work-{port}",
    }
    with (
        run_postgres(free_port(), wait_until) as database,
        run_redis(free_port(), folder / "redis", wait_until) as broker,
        run_cluster(settings, database, broker, more, wait_until) as (cluster, api),
    ):
        yield BenchCluster(cluster=cluster, api=api)
