from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.processes import Service
from redraw_airflow.standalone.settings import read_settings
from redraw_airflow.standalone.state import (
    Instance,
    forget_instance,
    keep_instance,
    keep_ports,
    lock_state,
    read_instance,
)


@pytest.fixture
def instance() -> Instance:
    """An instance whose one service is this very process, so that it runs."""
    me = psutil.Process()
    service = Service(name="scheduler", pid=me.pid, created=me.create_time(), log="scheduler.log")
    return Instance(airflow_port=18081, gcs_port=14444, services={"scheduler": service})


def test_read_instance_what_was_kept_comes_back(tmp_path: Path, instance: Instance) -> None:
    keep_instance(tmp_path, instance)

    assert read_instance(tmp_path) == instance
    forget_instance(tmp_path)
    assert read_instance(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"airflow_port": "8080"}'])
def test_read_instance_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "services.json").write_text(content)

    with pytest.raises(EmbeddedError, match="services.json: the list of running services cannot be read"):
        read_instance(tmp_path)


def test_keep_ports_running_instance_keeps_its_ports(instance: Instance) -> None:
    settings = keep_ports(read_settings({}), instance)

    assert (settings.airflow_port, settings.gcs_port) == (18081, 14444)


def test_keep_ports_other_port_asked_for_is_refused(instance: Instance) -> None:
    settings = read_settings({"REDRAW_AIRFLOW_PORT": "9000"})

    with pytest.raises(EmbeddedError, match="airflow already runs on port 18081"):
        keep_ports(settings, instance)


def test_keep_ports_ended_instance_gives_way(instance: Instance) -> None:
    settings = read_settings({"REDRAW_AIRFLOW_PORT": "9000"})
    ended = Service(name="scheduler", pid=instance.services["scheduler"].pid, created=0.0, log="")

    kept = keep_ports(settings, Instance(airflow_port=1, gcs_port=2, services={"scheduler": ended}))

    assert kept == settings


def test_lock_state_held_by_another_is_refused_at_once(tmp_path: Path) -> None:
    with (
        lock_state(tmp_path),
        pytest.raises(EmbeddedError, match="another command is starting or ending"),
        lock_state(tmp_path),
    ):
        pytest.fail("both held the lock")

    with lock_state(tmp_path):
        assert (tmp_path / "lock").exists()
