"""An Airflow of its own for DAG runs: a home with a migrated database, and processes that use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.forks import ForkServer
from tests.paths import IMPORT_PATH, ROOT

_NEEDED = ["tests.dags.warm", "tests.dags.run_dag", "tests.dags.parse_dags"]


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory, quick_python: str) -> dict[str, str]:
    """The environment of a process that uses a fresh Airflow."""
    home = tmp_path_factory.mktemp("airflow")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "REDRAW"))}
    return {
        **inherited,
        "AIRFLOW_HOME": os.fspath(home),
        "AIRFLOW__CORE__DAGS_FOLDER": os.fspath(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": os.fspath(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": IMPORT_PATH,
        "REDRAW_PYTHON": quick_python,
    }


@contextmanager
def open_airflow(environment: Mapping[str, str], folder: Path) -> Iterator[Callable[..., Any]]:
    """Import Airflow once, and make its database.

    Args:
        environment: Of the process that imports it; some settings are read then.
        folder: For what is printed.

    Yields:
        A function that calls `main` of a module of this folder in a new process, and returns the JSON that it
        writes to `answer`, and what it printed as its `log`: `run(answer, module, *arguments, **variables)`.
    """
    server = ForkServer(_NEEDED, environment, folder)
    migrated = server.start("tests.dags.run_dag:migrate", [], {}).wait(300)
    assert migrated.status == 0, migrated.stdout + migrated.stderr

    def run(answer: Path, program: str, *arguments: str, **variables: str) -> Any:
        function = f"tests.dags.{program}:main"
        done = server.start(function, [os.fspath(answer), *arguments], variables).wait(500)
        assert done.status == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return {**json.loads(answer.read_text()), "log": done.stdout + done.stderr}

    yield run
    server.close()


@pytest.fixture(scope="session")
def run_program(
    airflow_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Runs programs in the Airflow that has Redraw's own DAGs."""
    with open_airflow(airflow_environment, tmp_path_factory.mktemp("dags")) as run:
        yield run


@pytest.fixture(scope="session")
def run_interpreter(
    airflow_environment: dict[str, str], run_program: Callable[..., Any]
) -> Callable[..., Any]:
    """The same in a new interpreter: Airflow reads some settings as it is imported."""

    def run(answer: Path, module: str, *arguments: str, **variables: str) -> Any:
        command = [sys.executable, "-m", f"tests.dags.{module}", os.fspath(answer), *arguments]
        done = subprocess.run(
            command, env={**airflow_environment, **variables}, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return {**json.loads(answer.read_text()), "log": done.stdout + done.stderr}

    return run


@pytest.fixture
def python(run_program: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """The same, with an answer of its own: `python(module, *arguments, **variables)`."""
    return partial(run_program, tmp_path / "answer.json")
