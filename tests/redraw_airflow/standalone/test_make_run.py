"""The embedded default as a user meets it. In order: the later tests go on where the earlier end."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.console import Console

from redraw.publish.releases import list_releases
from redraw.records import Release
from redraw.requests import ReleasesRequest
from redraw_airflow.standalone.airflow_api import AirflowApi
from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.progress import watch_run
from redraw_airflow.standalone.settings import Settings
from redraw_airflow.standalone.state import read_instance
from tests.documentation.blocks import read_blocks
from tests.embedded import reach_storage

_DAG = "retrain_and_export"


def _go_on() -> None:
    """No reason to stop waiting."""


def _published(output: str) -> int:
    found = re.search(r"^Published +mnist (\d{16})$", output, re.MULTILINE)
    assert found, output
    return int(found.group(1))


@pytest.mark.timeout(600)
def test_make_run_nothing_there_yet_publishes_a_model_that_answers(
    make_run: subprocess.CompletedProcess[str], embedded_settings: Settings
) -> None:
    assert make_run.returncode == 0, make_run.stdout + make_run.stderr
    version = _published(make_run.stdout)
    assert f"gs://redraw-models/mnist/{version}\n" in make_run.stdout
    assert "image: uint8 [None, 28, 28]" in make_run.stdout
    assert re.search(r"^(9|10) of 10 right\.$", make_run.stdout, re.MULTILINE), make_run.stdout
    assert f"Airflow     {embedded_settings.airflow_url}  user admin, password " in make_run.stdout
    assert [
        task for task in ("train", "checkpoint", "export", "validate", "push") if task not in make_run.stdout
    ] == []


def _shape(line: str) -> str:
    """The beginning of a line, without figures, digests and passwords."""
    # The state of the tests' instance is in another folder.
    of_instance = r"(?<=password )\S+|(?<=token in )\S+"
    shape = re.sub(rf"{of_instance}|[0-9a-f]{{8,}}|\d[\d.:T+-]*", "#", line)
    return " ".join(shape.split())[:50]


@pytest.mark.parametrize("page", ["README.md", "docs/start/quickstart.md"])
def test_make_run_prints_what_the_documentation_shows(
    page: str, make_run: subprocess.CompletedProcess[str]
) -> None:
    shown = next(block.text for block in read_blocks(page) if "Published mnist" in block.text)
    printed = {_shape(line) for line in make_run.stdout.splitlines()}
    # What is there already is not made again, and how often a training is looked at depends on the machine.
    lines = [line for line in shown.splitlines() if not re.match(r"Making|Installing|\w+ +running", line)]
    assert [line for line in lines if _shape(line) not in printed] == [], make_run.stdout


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("with_new_interpreters")
def test_make_run_second_time_uses_the_services_and_publishes_the_next_version(
    make_run: subprocess.CompletedProcess[str],
    make: Callable[..., subprocess.CompletedProcess[str]],
    embedded_settings: Settings,
) -> None:
    before = read_instance(embedded_settings.state)

    again = make("run")

    assert again.returncode == 0, again.stdout + again.stderr
    assert _published(again.stdout) > _published(make_run.stdout)
    assert "Starting" not in again.stdout
    assert read_instance(embedded_settings.state) == before


@pytest.mark.timeout(600)
def test_trigger_logical_date_set_publishes_as_well(
    airflow_api: AirflowApi, embedded_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    date = datetime.now(UTC).isoformat()
    run = airflow_api.trigger(_DAG, logical_date=date, conf={"model": "line_module"})

    watch_run(airflow_api, _DAG, run, Console(quiet=True), _go_on)

    release = Release.from_json(airflow_api.result(_DAG, run.run_id, "push"))
    reach_storage(monkeypatch, embedded_settings)
    asked = ReleasesRequest(model="line_module", bucket=embedded_settings.model_bucket)
    published = list_releases(asked)
    assert published.live == release.version
    assert [(one.version, one.digest) for one in published.releases] == [(release.version, release.digest)]


def test_watch_run_task_that_fails_gives_its_error_line(airflow_api: AirflowApi) -> None:
    run = airflow_api.trigger(_DAG, conf={"model": "mnist", "warm_start": "/nowhere/at/all"})

    with pytest.raises(EmbeddedError, match=r"^task train: .*/nowhere/at/all") as caught:
        watch_run(airflow_api, _DAG, run, Console(quiet=True), _go_on)

    assert "\n" not in str(caught.value)


def test_make_stop_running_instance_leaves_no_process(
    airflow_api: AirflowApi,
    make: Callable[..., subprocess.CompletedProcess[str]],
    embedded_settings: Settings,
    gone: Callable[[int], bool],
) -> None:
    instance = read_instance(embedded_settings.state)
    assert instance is not None
    family = {process.pid for service in instance.services.values() for process in service.family()}

    stopped = make("stop")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert len(family) > 5
    assert [pid for pid in family if not gone(pid)] == []

    cleaned = make("clean")
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
    assert not embedded_settings.state.exists()
