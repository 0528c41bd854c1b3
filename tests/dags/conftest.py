"""An Airflow of its own for DAG runs: a home with a migrated database, and processes that use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.paths import IMPORT_PATH, ROOT


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that uses a fresh Airflow; its database is migrated."""
    home = tmp_path_factory.mktemp("airflow")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "REDRAW"))}
    environment = {
        **inherited,
        "AIRFLOW_HOME": os.fspath(home),
        "AIRFLOW__CORE__DAGS_FOLDER": os.fspath(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": os.fspath(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": IMPORT_PATH,
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True, timeout=300)
    return environment


@pytest.fixture(scope="session")
def run_program(airflow_environment: dict[str, str]) -> Callable[..., Any]:
    """Runs one of the programs beside this file and returns the JSON that it writes to `answer`."""

    def run(answer: Path, program: str, *arguments: str, **variables: str) -> Any:
        command = [
            sys.executable,
            os.fspath(ROOT / "tests" / "dags" / program),
            os.fspath(answer),
            *arguments,
        ]
        done = subprocess.run(
            command, env={**airflow_environment, **variables}, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return {**json.loads(answer.read_text()), "log": done.stdout + done.stderr}

    return run


@pytest.fixture
def python(run_program: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """The same, with an answer of its own: `python(program, *arguments, **variables)`."""
    return partial(run_program, tmp_path / "answer.json")
