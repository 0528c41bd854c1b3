"""Redraw, installed from its wheel into an environment that has a release of Airflow."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from tests.paths import ROOT

__all__ = [
    "DAGS",
    "LOCKS",
    "MODEL",
    "UV",
    "Release",
    "Run",
    "airflow_variables",
    "call",
    "locked_airflow",
    "make_environment",
    "write_users_files",
]

LOCKS = {
    "oldest": ROOT / "requirements-airflow-oldest.txt",
    "newest": ROOT / "requirements-airflow.txt",
}
# The model that is trained and published: a straight line.
MODEL = "line_module"
DAGS = (
    "mark_version",
    "prune_versions",
    "reexport_checkpoints",
    "retrain_and_export",
    "roll_back_model",
    "validate_and_publish",
)
UV = os.fspath(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True)
class Release:
    """An Airflow with Redraw installed, and how its processes are started.

    Attributes:
        lock: What it was installed from.
        python: Its interpreter, which has no TensorFlow.
        variables: The environment of its processes.
        home: Airflow's home; its database is migrated.
    """

    lock: Path
    python: Path
    variables: dict[str, str]
    home: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run its interpreter and expect it to end well."""
        return call(os.fspath(self.python), *arguments, env=self.variables | variables, cwd=self.home)

    def listed(self, *command: str) -> Any:
        """What a command of Airflow lists; 3.2 writes log lines before it."""
        written = self.run("-m", "airflow", *command, "--output", "json").stdout
        return json.loads(written[re.search(r"^\[", written, re.MULTILINE).start() :])


@dataclass(frozen=True)
class Run:
    """A run of `retrain_and_export`.

    Attributes:
        outcome: As `tests/dags/run_dag.py` writes it.
        bucket: Where it has published.
    """

    outcome: Any
    bucket: str


def locked_airflow(lock: Path) -> Version:
    """The release of Airflow that a lock has."""
    (found,) = re.findall(r"^apache-airflow==(\S+)", lock.read_text(), re.MULTILINE)
    return Version(found)


def call(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program and expect it to end well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


def make_environment(folder: Path, lock: Path, wheel: Path) -> Path:
    """Install a lock, then the wheel as its users do, with the lock's versions for constraints.

    What lies in the folder from an earlier session is brought up to the lock.

    Returns:
        The interpreter.
    """
    settings = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_INDEX_STRATEGY": "unsafe-best-match"}
    python = folder / "bin" / "python"
    wanted = f"airflow-provider-redraw[airflow] @ {wheel.as_uri()}"
    into = ("--quiet", "--python", os.fspath(python))
    for command in (
        ("venv", "--quiet", "--allow-existing", "--python", sys.executable, os.fspath(folder)),
        ("pip", "sync", *into, "--require-hashes", os.fspath(lock)),
        ("pip", "install", *into, "--constraint", os.fspath(lock), wanted),
    ):
        call(UV, *command, env=settings)
    return python


def write_users_files(dags: Path, library: Path) -> None:
    """Write DAG files of two lines, as users do who have modules and packages named `tasks` of their own.

    Args:
        dags: The DAGs folder, which has a package of that name.
        library: A folder of the path, which has a module of that name.
    """
    (dags / "tasks").mkdir(parents=True)
    (dags / "tasks" / "__init__.py").write_text('OWNER = "the team"\n')
    (library / "tasks.py").write_text('OWNER = "the team"\n')
    for dag_id in DAGS:
        (dags / f"{dag_id}.py").write_text(f"from redraw_airflow.dags import {dag_id}\ndag = {dag_id}()\n")
    own = (dags / "retrain_and_export.py").read_text()
    (dags / "retrain_and_export.py").write_text(f"from tasks import OWNER\n{own}assert OWNER == 'the team'\n")


def airflow_variables(home: Path, python: Path, definitions: Path) -> dict[str, str]:
    """The environment of Airflow's processes.

    Args:
        home: Airflow's home.
        python: The interpreter that has Airflow.
        definitions: The folder that holds the package `sample_models`.
    """
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "REDRAW", "PYTHON"))
    }
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "redraw"}}
    return inherited | {
        "AIRFLOW_HOME": os.fspath(home),
        "AIRFLOW__CORE__DAGS_FOLDER": os.fspath(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Nothing lies there: the plugin is found as an installed one is.
        "AIRFLOW__CORE__PLUGINS_FOLDER": os.fspath(home / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
        "PATH": os.pathsep.join([os.fspath(python.parent), inherited["PATH"]]),
        # Only the models: Redraw itself comes from the wheel.
        "PYTHONPATH": os.fspath(definitions),
        "REDRAW_MODELS": "sample_models",
        # The stages run where TensorFlow is.
        "REDRAW_PYTHON": sys.executable,
    }
