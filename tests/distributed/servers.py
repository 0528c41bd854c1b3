"""PostgreSQL and Redis from Debian's packages, each on loopback with a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redraw_airflow.standalone.processes import Service, end_services, start_service

__all__ = ["find_missing", "run_postgres", "run_redis"]

_POSTGRES_FOLDERS = "/usr/lib/postgresql"
_START_SECONDS = 60.0

Until = Callable[..., None]


def find_missing() -> list[str]:
    """The Debian packages that the tests need and this machine lacks."""
    postgres = _newest_postgres() is not None
    return [
        name
        for name, there in (("postgresql", postgres), ("redis-server", shutil.which("redis-server")))
        if not there
    ]


@contextmanager
def run_postgres(port: int, until: Until) -> Iterator[str]:
    """A PostgreSQL server for as long as the context lasts.

    It never waits for the disk: what it holds is of no use after the test.

    Yields:
        `user@host:port/database`.
    """
    binaries = _newest_postgres()
    assert binaries is not None
    # Not in pytest's folder: that is only root's, and the server must not run as root.
    folder = Path(tempfile.mkdtemp(prefix="redraw-postgres-"))
    prefix = _as_another_user(folder)
    data = folder / "data"
    service: Service | None = None
    try:
        made = [*prefix, str(binaries / "initdb"), "-D", str(data), "-U", "airflow", "--auth=trust", "-N"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder)
        options = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        command = [*prefix, str(binaries / "postgres"), "-D", str(data)]
        for option in options:
            command += ["-c", option]
        service = start_service("PostgreSQL", command, dict(os.environ), folder / "server.log")
        ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow"]
        until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL", _START_SECONDS)
        yield f"airflow@127.0.0.1:{port}/postgres"
    finally:
        end_services([service] if service else [])
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def run_redis(port: int, folder: Path, until: Until) -> Iterator[str]:
    """A Redis server that keeps nothing, for as long as the context lasts; yields its URL."""
    folder.mkdir()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    service = start_service("Redis", command, dict(os.environ), folder / "server.log")
    try:
        ask = ["redis-cli", "-p", str(port), "ping"]
        until(lambda: b"PONG" in subprocess.run(ask, capture_output=True).stdout, "Redis", _START_SECONDS)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        end_services([service])


def _newest_postgres() -> Path | None:
    found = Path(_POSTGRES_FOLDERS).glob("*/bin/initdb")
    return max((path.parent for path in found), key=lambda path: float(path.parent.name), default=None)


def _as_another_user(folder: Path) -> list[str]:
    """What to put before a command so that root runs it as the user that Debian's package makes."""
    if os.getuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
