"""What the containers run, run in clean environments of the locks that the images install.

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
import sqlite3
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from redraw.records.results import MirrorReport
from tests.paths import ROOT

RunPython = Callable[..., subprocess.CompletedProcess[str]]

DOCKER = ROOT / "docker"
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


def has_job(service: dict[str, Any], environment: dict[str, str]) -> bool:
    """Whether Airflow's database knows of its job: to ask the health check that often takes a core."""
    check = shlex.split(service["healthcheck"]["test"][1])
    kind = check[check.index("--job-type") + 1]
    database = sqlite3.connect(f"file:{environment['AIRFLOW_HOME']}/airflow.db?mode=ro", uri=True, timeout=60)
    with closing(database):
        jobs = database.execute("select 1 from job where job_type = ? and state = 'running'", [kind])
        return jobs.fetchone() is not None


def answers(url: str | urllib.request.Request) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def airflow_commands(compose: dict[str, Any]) -> list[list[str]]:
    """What Airflow's containers run, and ask about their health."""
    services = [
        one
        for one in compose["services"].values()
        if one["image"] in AIRFLOW_IMAGES and "entrypoint" not in one
    ]
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
            until(lambda service=service: has_job(service, environment), f"job of {name}", 240.0, every=0.2)
            until(lambda service=service: is_healthy(service, environment), f"a healthy {name}", 240.0)


def test_worker_takes_tasks_of_its_queue_alone(
    compose: dict[str, Any], environment: dict[str, str], until: Callable[..., None], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    memory = {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": "memory://",
        "AIRFLOW__CELERY__RESULT_BACKEND": "cache+memory://",
    }
    command = [*compose["services"]["worker-tensorflow"]["command"], "--skip-serve-logs"]

    with running(command, {**environment, **memory}, log) as worker:
        until(lambda: worker.poll() is not None or " ready." in log.read_text(), "a ready worker", 240.0)
        assert worker.poll() is None, log.read_text()[-3000:]

    assert re.findall(r"\.> (\w+) +exchange=", log.read_text()) == ["tensorflow"]


def test_mirror_runs_without_airflow(
    compose: dict[str, Any],
    tensorflow_python: Path,
    run_python: RunPython,
    gcs_server: str,
    bucket: str,
    tmp_path: Path,
) -> None:
    service = compose["services"]["mirror"]
    folders = {"gs://redraw-models": bucket, "/models": str(tmp_path)}
    program, *command = [folders.get(part, part) for part in service["command"]]
    # The image's PATH begins with its environment.
    assert program == "python"

    done = run_python(tensorflow_python, *command, STORAGE_EMULATOR_HOST=gcs_server)

    assert done.returncode == 0, done.stderr
    assert MirrorReport.from_json(json.loads(done.stdout)) == MirrorReport(out=str(tmp_path), models=())
    assert (tmp_path / "models.config").exists()


def test_storage_server_has_the_buckets_of_the_workers_and_knows_its_token(
    compose: dict[str, Any],
    environment: dict[str, str],
    airflow_python: Path,
    until: Callable[..., None],
    unused_port: int,
    tmp_path: Path,
) -> None:
    service = compose["services"]["gcs"]
    (config,) = service["configs"]
    (tmp_path / "token").write_text("sekret")
    ours = {
        "python": os.fspath(airflow_python),
        "0.0.0.0": "127.0.0.1",  # noqa: S104 - within the compose file's own network
        "4443": str(unused_port),
        "/storage": os.fspath(tmp_path / "storage"),
        config["target"]: os.fspath(tmp_path / "token"),
    }
    command = [ours.get(part, part) for part in [*service["entrypoint"], *service["command"]]]
    url = f"http://127.0.0.1:{unused_port}/storage/v1/b?project=redraw"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer sekret"})

    with running(command, environment, tmp_path / "server.log"):
        until(lambda: answers(request), "the storage server")
        with urllib.request.urlopen(request, timeout=10) as answer:
            buckets = {item["name"] for item in json.load(answer)["items"]}
        assert not answers(url)

    variables = compose["services"]["worker"]["environment"]
    assert {variables[name] for name in ("REDRAW_MODEL_BUCKET", "REDRAW_CHECKPOINTS")} == {
        f"gs://{name}" for name in buckets
    }


@pytest.mark.parametrize("name", ["Dockerfile.airflow", "Dockerfile.tensorflow"])
def test_health_check_of_the_stages_fails_without_definitions(
    name: str, tensorflow_python: Path, run_python: RunPython
) -> None:
    (check,) = re.findall(r"HEALTHCHECK .*\\\n    CMD (\[.*\])", (DOCKER / name).read_text())
    _, *command = json.loads(check)

    healthy = run_python(tensorflow_python, *command)
    ill = run_python(tensorflow_python, *command, REDRAW_MODELS="no_such_package")

    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert ill.returncode == 1
    assert "no_such_package" in ill.stderr
