"""Starts the real Airflow API server of `serve_pages.py`, in a fresh home, and logs its users in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.paths import IMPORT_PATH, ROOT
from tests.redraw_airflow.web.dag_rights import USERS, DagRights

__all__ = ["Pages", "run_pages"]

_PASSWORDS = {user: f"for-tests-only-{user}" for user in USERS}
# How long it may take to import Airflow and make its database, on a machine that is busy.
_START_SECONDS = 300.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Pages:
    """A server that runs.

    Attributes:
        url: Of Airflow; the pages are below `/redraw`.
        tokens: User to token.
        home: Airflow's home, with its database.
    """

    url: str
    tokens: Mapping[str, str]
    home: Path

    def client(self, user: str | None) -> httpx.Client:
        """A browser of that user, by the cookie that Airflow's login leaves; None is nobody."""
        cookies = {} if user is None else {"_token": self.tokens[user]}
        return httpx.Client(base_url=self.url, cookies=cookies, timeout=60, trust_env=False)


@contextmanager
def run_pages(
    home: Path,
    variables: Mapping[str, str],
    runs: Sequence[Mapping[str, Any]] = (),
    python: Path = Path(sys.executable),
) -> Iterator[Pages]:
    """Run a server while the block runs.

    Args:
        home: Airflow's home, an empty folder or one with a migrated database.
        variables: Of its environment: where the buckets are, and Airflow's connections.
        runs: As `serve_pages.py` takes them.
        python: The interpreter that has Airflow.

    Raises:
        AssertionError: It did not start, or ended.
    """
    (home / "passwords.json").write_text(json.dumps(_PASSWORDS))
    (home / "runs.json").write_text(json.dumps(runs))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    program = os.fspath(Path(__file__).with_name("serve_pages.py"))
    command = [os.fspath(python), program, str(port), os.fspath(home / "runs.json")]
    log_path = home / "server.log"
    with log_path.open("wb") as log:
        server = subprocess.Popen(command, env=_environment(home) | variables, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _await_answer(server, url, log_path)
        yield Pages(url, {user: _token(url, user) for user in _PASSWORDS}, home)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _environment(home: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "REDRAW"))}
    settings = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PLUGINS_FOLDER": os.fspath(ROOT / "plugins"),
        # Next to the program, so that it is found whatever the path is.
        "CORE__AUTH_MANAGER": f"dag_rights.{DagRights.__name__}",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": os.fspath(home / "passwords.json"),
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    return inherited | {
        "AIRFLOW_HOME": os.fspath(home),
        "PYTHONPATH": IMPORT_PATH,
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
    }


def _await_answer(server: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            httpx.get(f"{url}/api/v2/version", timeout=5, trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(_POLL_SECONDS)
    log = log_path.read_text()[-4000:]
    raise AssertionError(f"{url}: expected an API server, got {server.poll()}. It last wrote:\n{log}")


def _token(url: str, user: str) -> str:
    login = {"username": user, "password": _PASSWORDS[user]}
    answer = httpx.post(f"{url}/auth/token", json=login, timeout=60, trust_env=False)
    return str(answer.raise_for_status().json()["access_token"])
