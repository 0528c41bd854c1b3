"""An embedded default of the tests' own, and its storage server, as those reach it who have its token."""

from __future__ import annotations

import configparser
import json
import os
import secrets
import shutil
import socket
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from git import Actor, Repo

from redraw_airflow.standalone.preflight import prepare_state
from redraw_airflow.standalone.processes import end_services
from redraw_airflow.standalone.settings import Settings, read_settings, read_token
from redraw_airflow.standalone.state import read_instance
from tests.paths import TESTS

__all__ = ["end_instance", "free_port", "new_settings", "reach_storage", "variables_of"]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reach_storage(patch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Let this process, and those that it starts, work with the instance's buckets."""
    patch.setenv("STORAGE_EMULATOR_HOST", settings.gcs_url)
    patch.setenv("REDRAW_STORAGE_TOKEN", read_token(settings))


def new_settings(folders: pytest.TempPathFactory) -> Settings:
    """Where an instance listens and keeps its state."""
    ports = {"REDRAW_AIRFLOW_PORT": str(free_port()), "REDRAW_GCS_PORT": str(free_port())}
    settings = read_settings({"REDRAW_STATE": str(folders.mktemp("embedded")), **ports})
    _add_bundles(settings, TESTS)
    return settings


def variables_of(settings: Settings, python: str) -> dict[str, str]:
    """The environment variables with which an instance starts; `python` is its stages' interpreter."""
    return {
        "REDRAW_STATE": os.fspath(settings.state),
        "REDRAW_AIRFLOW_PORT": str(settings.airflow_port),
        "REDRAW_GCS_PORT": str(settings.gcs_port),
        # A model that trains and exports in no time, for what is tested only of Airflow.
        "REDRAW_MODELS": "redraw.models,sample_models,asking_models,failing_models,git_models",
        "REDRAW_PYTHON": python,
        "PYTHONPATH": os.fspath(settings.root / "tests"),
    }


def end_instance(settings: Settings) -> None:
    """End all of its services that run."""
    instance = read_instance(settings.state)
    if instance is not None:
        # What is left of it is of no use: nobody waits for Airflow's own orderly end.
        end_services(instance.services.values(), seconds=1)


def _add_bundles(settings: Settings, tests: Path) -> None:
    """Have the instance's Airflow read DAGs of one's own, too: which its variables leave to this file."""
    prepare_state(settings.state)
    local = {"classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
    git = {"classpath": "airflow.providers.git.bundles.git.GitDagBundle"}
    origin = settings.state / "airflow" / "origin"
    shutil.copytree(tests / "git_bundle", origin, ignore=shutil.ignore_patterns("__pycache__"))
    repository = Repo.init(origin, initial_branch="main")
    repository.git.add("-A")
    author = Actor("Ada", "ada@example.org")
    repository.index.commit("Add a DAG and a definition", author=author, committer=author)
    bundles = [
        {"name": "dags-folder", **local, "kwargs": {}},
        {"name": "own", **local, "kwargs": {"path": os.fspath(tests / "own_dags")}},
        {"name": "git", **git, "kwargs": {"repo_url": os.fspath(origin), "tracking_ref": "main"}},
    ]
    # Airflow makes up these keys where it finds no file.
    options = {
        "core": {"fernet_key": Fernet.generate_key().decode()},
        "api": {"secret_key": secrets.token_urlsafe(16)},
        "api_auth": {"jwt_secret": secrets.token_urlsafe(16)},
        "dag_processor": {
            # A file that changes is read at once; these do not. The watcher of a DAG that is no longer
            # paused starts when its file is read the next time.
            "min_file_process_interval": "60",
            "dag_bundle_config_list": json.dumps(bundles),
            "dag_bundle_storage_path": os.fspath(settings.state / "airflow" / "bundles"),
        },
    }
    config = configparser.RawConfigParser()
    config.read_dict(options)
    home = settings.state / "airflow"
    with (home / "airflow.cfg").open("w") as file:
        config.write(file)
