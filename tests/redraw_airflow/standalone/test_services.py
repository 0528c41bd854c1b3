from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.preflight import prepare_state
from redraw_airflow.standalone.processes import Service, end_services, start_service
from redraw_airflow.standalone.services import check_services, start_services, start_storage
from redraw_airflow.standalone.settings import Settings, read_settings
from redraw_airflow.standalone.state import Instance, keep_instance, read_instance


def _settings(state: Path) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = {
            "REDRAW_AIRFLOW_PORT": str(one.getsockname()[1]),
            "REDRAW_GCS_PORT": str(two.getsockname()[1]),
        }
    settings = read_settings({"REDRAW_STATE": str(state), **ports})
    prepare_state(settings.state)
    return settings


def _end(state: Path) -> set[str]:
    """End what the state folder says was started; return what of it ran."""
    instance = read_instance(state)
    if instance is None:
        return set()
    running = set(instance.running())
    end_services(instance.services.values())
    return running


# A leader with a child in its session.
_FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""


def test_stop_instance_with_a_dead_service_leaves_no_process(
    tmp_path: Path, import_path: dict[str, str], gone: Callable[[int], bool], until: Callable[..., None]
) -> None:
    settings = _settings(tmp_path)
    services: dict[str, Service] = {}
    start_storage(settings, services, lambda line: None)
    log = settings.logs / "family.log"
    services["family"] = start_service("family", [sys.executable, "-c", _FAMILY], os.environ, log)
    ports = {"airflow_port": settings.airflow_port, "gcs_port": settings.gcs_port}
    keep_instance(settings.state, Instance(services=services, **ports))
    until(lambda: "ready" in log.read_text(), "the child")
    family = {process.pid for service in services.values() for process in service.family()}
    os.kill(services["family"].pid, signal.SIGKILL)
    until(lambda: not services["family"].is_running(), "the end of the leader")

    done = subprocess.run(
        [sys.executable, "-m", "redraw_airflow.standalone", "stop"],
        env=os.environ | import_path | {"REDRAW_STATE": str(settings.state)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert len(family) == 3
    assert [pid for pid in family if not gone(pid)] == []
    assert read_instance(settings.state) is None


def test_start_services_service_that_ends_at_once_fails_with_its_log(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    # The storage server cannot keep its objects in a file.
    (settings.state / "gcs").rmdir()
    (settings.state / "gcs").write_text("in the way")

    with pytest.raises(EmbeddedError, match="storage server: the process has ended") as caught:
        start_services(settings, None, lambda line: None)

    assert "gcs" in "\n".join(caught.value.details)
    kept = read_instance(tmp_path)
    assert kept is not None
    assert kept.running() == {}


def test_check_services_names_the_one_that_ended_and_no_other(tmp_path: Path) -> None:
    me = psutil.Process()
    running = Service(name="me", pid=me.pid, created=me.create_time(), log="")
    (tmp_path / "other.log").write_text("its last words\n")
    # A process of that number runs, but it began at another time: the service's is gone.
    ended = replace(running, name="other", created=me.create_time() - 60, log=str(tmp_path / "other.log"))

    check_services([running])
    with pytest.raises(EmbeddedError, match="^other: the process has ended") as caught:
        check_services([running, ended])

    assert list(caught.value.details) == ["its last words"]


def test_up_interrupted_leaves_what_it_started_running_and_says_so(
    tmp_path: Path, import_path: dict[str, str], until: Callable[..., None]
) -> None:
    settings = _settings(tmp_path)
    ports = {"airflow": settings.airflow_port, "gcs": settings.gcs_port}
    variables = {f"REDRAW_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    # A program that was started in the background would ignore the signal.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from redraw_airflow.standalone.__main__ import main; sys.exit(main(['up']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | import_path | variables | {"REDRAW_STATE": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until((settings.logs / "database.log").exists, "the start of Airflow")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        running = _end(tmp_path)
    finally:
        process.kill()
        process.communicate()
        _end(tmp_path)
    assert process.returncode == 130, errors
    assert errors.strip() == "Interrupted. The services that were started still run; 'make stop' ends them."
    assert "storage server" in running
