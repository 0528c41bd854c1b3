"""The oldest and the newest Airflow, a home that each uses, and what a run in it has left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT, TESTS
from tests.redraw_airflow.web.page_server import Pages, run_pages
from tests.versions.installed import (
    LOCKS,
    MODEL,
    UV,
    Release,
    Run,
    airflow_variables,
    call,
    make_environment,
    write_users_files,
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    call(UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", os.fspath(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session", params=LOCKS)
def release(
    request: pytest.FixtureRequest, wheel: Path, gcs_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    """One of the two."""
    home, definitions = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("definitions")
    (definitions / "sample_models").symlink_to(TESTS / "sample_models")
    write_users_files(home / "dags", definitions)
    python = make_environment(ROOT / ".redraw" / "versions" / request.param, LOCKS[request.param], wheel)
    variables = airflow_variables(home, python, definitions) | {"STORAGE_EMULATOR_HOST": gcs_server}
    made = Release(LOCKS[request.param], python, variables, home)
    made.run("-m", "airflow", "db", "migrate")
    return made


@pytest.fixture(scope="session")
def run(release: Release, new_bucket: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has trained, exported, validated and published the model."""
    folder, bucket = tmp_path_factory.mktemp("run"), new_bucket()
    answer = folder / "answer.json"
    conf = {"model": MODEL, "bucket": bucket, "catalogue": os.fspath(folder / "catalogue")}
    program = os.fspath(TESTS / "dags" / "run_dag.py")
    arguments = (os.fspath(answer), "retrain_and_export", "null", json.dumps(conf | {"checkpoint": "latest"}))
    done = release.run(program, *arguments, REDRAW_WORK=os.fspath(folder / "work"))
    outcome = json.loads(answer.read_text())
    assert outcome["state"] == "success", done.stdout[-6000:] + done.stderr[-6000:]
    return Run(outcome, bucket)


@pytest.fixture(scope="session")
def pages(release: Release, run: Run) -> Iterator[Pages]:
    """That Airflow's API server, with the run in its database."""
    variables = release.variables | {"REDRAW_MODEL_BUCKET": run.bucket}
    with run_pages(release.home, variables, python=release.python) as running:
        yield running
