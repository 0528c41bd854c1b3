from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.preflight import prepare_state
from redraw_airflow.standalone.processes import Service, end_services
from redraw_airflow.standalone.services import check_services, start_services
from redraw_airflow.standalone.settings import Settings, read_settings
from redraw_airflow.standalone.state import Instance, read_instance


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


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return _settings(tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="module")
def instance(settings: Settings) -> Iterator[Instance]:
    """Airflow and the storage server, started and healthy; the tests below end them in turn."""
    started = start_services(settings, None, lambda line: None)
    yield started
    _end(settings.state)


def test_start_services_nothing_listens_beyond_loopback(instance: Instance, settings: Settings) -> None:
    family = {process for service in instance.services.values() for process in service.family()}
    addresses = {
        connection.laddr
        for process in family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }

    assert {ip for ip, _ in addresses} == {"127.0.0.1"}
    assert {settings.airflow_port, settings.gcs_port} <= {port for _, port in addresses}


def test_start_services_password_is_its_owners_alone(instance: Instance, settings: Settings) -> None:
    assert len(instance.running()) == 5
    assert stat.S_IMODE(settings.passwords.stat().st_mode) == 0o600


def test_start_services_running_instance_is_used_again(instance: Instance, settings: Settings) -> None:
    steps: list[str] = []

    again = start_services(settings, instance, steps.append)

    assert again == instance
    assert steps == []


def test_check_services_dead_component_is_named_with_the_end_of_its_log(instance: Instance) -> None:
    processor = instance.services["dag-processor"]
    os.kill(processor.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(processor.pid)], timeout=10)

    with pytest.raises(EmbeddedError, match="dag-processor: expected a running process") as caught:
        check_services(instance.services.values())

    assert processor.log in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.details[-1] in Path(processor.log).read_text()


def test_stop_instance_with_a_dead_service_leaves_no_process(
    instance: Instance, settings: Settings, import_path: dict[str, str], gone: Callable[[int], bool]
) -> None:
    family = {process.pid for service in instance.services.values() for process in service.family()}

    done = subprocess.run(
        [sys.executable, "-m", "redraw_airflow.standalone", "stop"],
        env=os.environ | import_path | {"REDRAW_STATE": str(settings.state)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert len(family) >= 4
    assert [pid for pid in family if not gone(pid)] == []
    assert read_instance(settings.state) is None


def test_start_services_service_that_ends_at_once_fails_with_its_log(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    # The storage server cannot keep its objects in a file.
    (settings.state / "gcs").rmdir()
    (settings.state / "gcs").write_text("in the way")

    with pytest.raises(EmbeddedError, match="storage server: expected a running process") as caught:
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
    with pytest.raises(EmbeddedError, match="^other: expected a running process") as caught:
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
    assert errors.strip() == "Interrupted. What was started runs on; 'make stop' ends it."
    assert "storage server" in running
