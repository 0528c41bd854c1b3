"""What the containers are told to run, run in clean environments of the locks that the images install.

The database is SQLite and the broker is in the worker's memory: PostgreSQL and Redis are not
what these commands are tried for.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

RunPython = Callable[..., subprocess.CompletedProcess[str]]

DOCKER = Path(__file__).resolve().parents[2] / "docker"
AIRFLOW_IMAGES = {"redraw-airflow", "redraw-worker"}
PARSE = """
import json, sys
from airflow.cli.cli_parser import get_parser

for command in json.loads(sys.argv[1]):
    get_parser().parse_args(command)
"""
# Their log servers listen on every interface, which a test must not.
QUIET = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"], "dag-processor": []}


@pytest.fixture
def environment(airflow_home: dict[str, str]) -> dict[str, str]:
    """Of a container's process, as far as it does not name other containers."""
    return {**airflow_home, "HOSTNAME": socket.gethostname(), "AIRFLOW__CORE__PARALLELISM": "1"}


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, which ends with the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def is_healthy(service: dict[str, Any], environment: dict[str, str]) -> bool:
    """What the service's own health check says."""
    kind, text = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    command = ["sh", "-c", text.replace("$$", "$")]
    return subprocess.run(command, env=environment, capture_output=True, timeout=120).returncode == 0


def airflow_commands(compose: dict[str, Any]) -> list[list[str]]:
    """What Airflow's containers run, and ask about their health."""
    services = [one for one in compose["services"].values() if one["image"] in AIRFLOW_IMAGES]
    shells = [one["healthcheck"]["test"][1] for one in services if "healthcheck" in one]
    checks = [shlex.split(text) for text in shells if text.startswith("airflow ")]
    return [one["command"] for one in services] + checks


def test_every_airflow_command_is_one_that_the_locked_airflow_takes(
    compose: dict[str, Any], airflow_python: Path, run_python: RunPython
) -> None:
    commands = airflow_commands(compose)
    assert len(commands) == 10
    assert all(command[0] == "airflow" for command in commands)

    done = run_python(airflow_python, "-c", PARSE, json.dumps([command[1:] for command in commands]))
    refused = run_python(
        airflow_python, "-c", PARSE, json.dumps([["celery", "worker", "--queue-names", "a"]])
    )

    assert done.returncode == 0, done.stderr
    assert "--queue-names" in refused.stderr


def test_components_are_healthy_by_their_own_checks(
    compose: dict[str, Any], environment: dict[str, str], until: Callable[..., None], tmp_path: Path
) -> None:
    services = {name: compose["services"][name] for name in QUIET}
    assert not is_healthy(services["scheduler"], environment)

    with ExitStack() as stack:
        for name, service in services.items():
            command = [*service["command"], *QUIET[name]]
            stack.enter_context(running(command, environment, tmp_path / f"{name}.log"))
        for name, service in services.items():
            until(lambda service=service: is_healthy(service, environment), f"a healthy {name}", 240.0)


@pytest.mark.parametrize("name", ["worker", "worker-tensorflow"])
def test_worker_takes_tasks_of_its_queue_alone(
    name: str,
    compose: dict[str, Any],
    environment: dict[str, str],
    until: Callable[..., None],
    tmp_path: Path,
) -> None:
    log = tmp_path / "worker.log"
    memory = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": "memory://",
        "AIRFLOW__CELERY__RESULT_BACKEND": "cache+memory://",
    }
    command = [*compose["services"][name]["command"], "--skip-serve-logs"]

    with running(command, {**environment, **memory}, log) as worker:
        until(lambda: worker.poll() is not None or " ready." in log.read_text(), "a ready worker", 240.0)
        assert worker.poll() is None, log.read_text()[-3000:]

    queue = {"worker": "default", "worker-tensorflow": "tensorflow"}[name]
    assert re.findall(r"\.> (\w+) +exchange=", log.read_text()) == [queue]


def test_mirror_runs_without_airflow(
    compose: dict[str, Any], tensorflow_python: Path, run_python: RunPython, bucket: str, tmp_path: Path
) -> None:
    service = compose["services"]["mirror"]
    folders = {"gs://redraw-models": bucket, "/models": str(tmp_path)}
    program, *command = [folders.get(part, part) for part in service["command"]]
    # The image's PATH begins with its environment.
    assert program == "python"

    done = run_python(tensorflow_python, *command)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"out": str(tmp_path), "models": []}
    assert (tmp_path / "models.config").exists()


def test_health_check_of_the_stages_finds_the_definitions(
    tensorflow_python: Path, run_python: RunPython
) -> None:
    (check,) = re.findall(r"CMD (\[.*\])\nENTRYPOINT", (DOCKER / "Dockerfile.tensorflow").read_text())
    _, *command = json.loads(check)

    done = run_python(tensorflow_python, *command)

    assert done.returncode == 0, done.stderr
    assert "mnist" in {model["name"] for model in json.loads(done.stdout)["models"]}
