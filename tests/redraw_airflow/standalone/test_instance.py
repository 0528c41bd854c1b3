"""The processes of the running instance. In order: each test goes on where the one before ended."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.services import check_services, start_services
from redraw_airflow.standalone.settings import Settings
from redraw_airflow.standalone.state import Instance, read_instance

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def instance(airflow_api: AirflowApi, embedded_settings: Settings) -> Instance:
    """What `make run` started."""
    found = read_instance(embedded_settings.state)
    assert found is not None
    return found


def test_start_services_nothing_listens_beyond_loopback(
    instance: Instance, embedded_settings: Settings
) -> None:
    family = {process for service in instance.services.values() for process in service.family()}
    addresses = set()
    for process in family:
        # Airflow hides from everyone but root what the supervisors of its workers hold open; some end now.
        with suppress(psutil.AccessDenied, psutil.NoSuchProcess):
            found = process.net_connections("tcp")
            addresses |= {connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN}

    assert {ip for ip, _ in addresses} == {"127.0.0.1"}
    assert {embedded_settings.airflow_port, embedded_settings.gcs_port} == {port for _, port in addresses}


def test_start_services_password_is_its_owners_alone(instance: Instance, embedded_settings: Settings) -> None:
    assert len(instance.running()) == 5
    assert stat.S_IMODE(embedded_settings.passwords.stat().st_mode) == 0o600


def test_start_services_running_instance_is_used_again(
    instance: Instance, embedded_settings: Settings
) -> None:
    steps: list[str] = []

    again = start_services(embedded_settings, instance, steps.append)

    assert again == instance
    assert steps == []


def test_check_services_dead_component_is_named_with_the_end_of_its_log(
    instance: Instance, until: Callable[..., None]
) -> None:
    processor = instance.services["dag-processor"]
    os.kill(processor.pid, signal.SIGKILL)
    until(lambda: not processor.is_running(), "the end of the dag-processor")

    with pytest.raises(EmbeddedError, match="dag-processor: the process has ended") as caught:
        check_services(instance.services.values())

    assert processor.log in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.details[-1] in Path(processor.log).read_text()


def test_start_services_dead_component_is_started_again_alone(
    instance: Instance,
    embedded_settings: Settings,
    embedded_variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in embedded_variables.items():
        monkeypatch.setenv(name, value)
    steps: list[str] = []

    again = start_services(embedded_settings, instance, steps.append)

    (step,) = steps
    assert f"Starting Airflow on {embedded_settings.airflow_url}: dag-processor." in step
    changed = {name for name, service in again.services.items() if service != instance.services[name]}
    assert changed == {"dag-processor"}
    assert set(again.running()) == set(instance.services)
