"""Airflow in one interpreter, TensorFlow in another, and neither package in the other's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from redraw.records import Release
from tests.paths import TESTS

RunPython = Callable[..., subprocess.CompletedProcess[str]]

RUN_DAG = TESTS / "dags" / "run_dag.py"
IMPORT_ALL = """
import importlib, pkgutil, sys

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.fixture(params=["airflow", "tensorflow"])
def side(request: pytest.FixtureRequest) -> tuple[Path, str, str]:
    """An interpreter, the package whose every module it has to import, and what it must not have."""
    python = request.getfixturevalue(f"{request.param}_python")
    return {
        "airflow": (python, "redraw_airflow", "tensorflow"),
        "tensorflow": (python, "redraw", "airflow"),
    }[request.param]


def test_import_of_every_module_needs_nothing_of_the_other_side(
    side: tuple[Path, str, str], run_python: RunPython
) -> None:
    python, package, absent = side

    refused = run_python(python, "-c", f"import {absent}")
    done = run_python(python, "-c", IMPORT_ALL, package)

    assert f"No module named '{absent}'" in refused.stderr
    assert done.returncode == 0, done.stderr[-4000:]


def test_run_of_the_dag_with_redraw_python_publishes_a_version(
    airflow_python: Path,
    tensorflow_python: Path,
    run_python: RunPython,
    gcs_server: str,
    bucket: str,
    tmp_path: Path,
) -> None:
    conf = {"model": "line_module", "bucket": bucket, "catalogue": str(tmp_path / "catalogue")}
    answer = tmp_path / "answer.json"

    done = run_python(
        airflow_python,
        os.fspath(RUN_DAG),
        os.fspath(answer),
        "retrain_and_export",
        "null",
        json.dumps({**conf, "checkpoint": "latest"}),
        REDRAW_PYTHON=os.fspath(tensorflow_python),
        REDRAW_MODELS="sample_models",
        REDRAW_WORK=os.fspath(tmp_path / "work"),
        STORAGE_EMULATOR_HOST=gcs_server,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    run = json.loads(answer.read_text())
    assert run["state"] == "success", done.stdout[-6000:] + done.stderr[-6000:]
    release = Release.from_json(run["xcoms"]["push.return_value"])
    assert release.uri.startswith(f"{bucket}/line_module/")
    # Airflow's interpreter has no TensorFlow to name a version of.
    assert release.provenance is not None
    assert release.provenance.made_by is not None
    assert release.provenance.made_by.tensorflow == "2.21.0"
