"""Clean environments of the locks that the images install, and an Airflow home that one of them uses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

_SYNC = ("pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:")


def make_environment(folder: Path, lock: Path) -> Path:
    """An environment with what a lock lists and nothing else; returns its interpreter.

    It shares its files with uv's cache, which has them from the lock of the tests' own environment.
    """
    uv = os.fspath(Path(sys.executable).with_name("uv"))
    settings = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_INDEX_STRATEGY": "unsafe-best-match"}
    python = folder / "bin" / "python"
    for command in (
        ["venv", "--quiet", "--allow-existing", "--python", sys.executable, os.fspath(folder)],
        [*_SYNC, "--python", os.fspath(python), os.fspath(lock)],
        ["pip", "check", "--quiet", "--python", os.fspath(python)],
    ):
        done = subprocess.run([uv, *command], env=settings, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return python


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """A folder that stays from session to session: each time they are only brought up to the locks."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("environments")


@pytest.fixture(scope="session")
def airflow_python(environments: Path) -> Path:
    """The interpreter of an environment of only `requirements-airflow.txt`."""
    return make_environment(environments / "airflow", ROOT / "requirements-airflow.txt")


@pytest.fixture(scope="session")
def tensorflow_python(environments: Path) -> Path:
    """The interpreter of an environment of only `requirements-tensorflow.txt`."""
    return make_environment(environments / "tensorflow", ROOT / "requirements-tensorflow.txt")


@pytest.fixture(scope="session")
def airflow_home(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of processes that use a fresh Airflow, whose database that interpreter migrated."""
    home = tmp_path_factory.mktemp("home")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "REDRAW"))}
    environment = {
        **inherited,
        "AIRFLOW_HOME": os.fspath(home),
        "AIRFLOW__CORE__DAGS_FOLDER": os.fspath(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": os.fspath(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": os.pathsep.join(map(os.fspath, (ROOT / "tasks", ROOT / "plugins", ROOT / "tests"))),
        "PATH": os.pathsep.join([os.fspath(airflow_python.parent), inherited["PATH"]]),
    }
    migrate = [os.fspath(airflow_python), "-m", "airflow", "db", "migrate"]
    done = subprocess.run(migrate, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return environment


@pytest.fixture(scope="session")
def run_python(airflow_home: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs an interpreter next to that Airflow: `run_python(python, *arguments, **variables)`."""

    def run(python: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [os.fspath(python), *arguments],
            env={**airflow_home, **variables},
            capture_output=True,
            text=True,
            timeout=500,
        )

    return run


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """`docker/compose.yaml`, its anchors and merges resolved."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    return loaded
