"""The addresses of the pages, for modules that link to them."""

from __future__ import annotations

import os
from urllib.parse import quote

from redraw.uri import Uri

__all__ = [
    "MODELS_VIEW",
    "MOUNT",
    "RUN_TAB",
    "TASK_TAB",
    "comparison_place",
    "folder_url",
    "framed_place",
    "ledger_place",
    "model_place",
    "object_url",
    "run_place",
    "tab_place",
    "task_place",
    "version_place",
]

# Below Airflow's own root.
MOUNT = "/redraw"

# The view's name in Airflow's navigation.
MODELS_VIEW = "models"

# Airflow fills these in.
RUN_TAB = f"{MOUNT[1:]}/runs/{{DAG_ID}}/{{RUN_ID}}"
TASK_TAB = f"{RUN_TAB}/{{TASK_ID}}/{{MAP_INDEX}}"


def model_place(model: str) -> str:
    """The path of a model's page below the mount."""
    return f"/models/{quote(model, safe='')}"


def version_place(model: str, version: int) -> str:
    """The path of a version's page below the mount."""
    return f"{model_place(model)}/{version}"


def comparison_place(model: str, version: int, other_version: int) -> str:
    """The path of the page that compares a version with another one, below the mount."""
    return f"{version_place(model, version)}/beside/{other_version}"


def framed_place(place: str) -> str:
    """The path, below Airflow's root, that opens one of these pages inside Airflow's own."""
    return f"/plugin/{MODELS_VIEW}{MOUNT}{place}"


def run_place(dag_id: str, run_id: str) -> str:
    """The path of Airflow's page of a run, below its root."""
    return f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def task_place(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """The path of Airflow's page of a task, below its root; `map_index` is the number of a mapped task."""
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{run_place(dag_id, run_id)}/tasks/{quote(task_id, safe='')}{mapped}"


def tab_place(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """The path of Redraw's tab on a task of a run, below the mount."""
    ids = (quote(text, safe="") for text in (dag_id, run_id, task_id))
    return f"/runs/{'/'.join(ids)}/{map_index}"


def ledger_place(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """The path of the page of an export's restore ledger, below the mount."""
    return f"{tab_place(dag_id, run_id, task_id, map_index)}/ledger"


_CONSOLE = "https://console.cloud.google.com/storage/browser"


def object_url(uri: Uri) -> str:
    """The URL of an object in Google's console; empty if it is not in a bucket of Google's."""
    return _url(uri, folder=False)


def folder_url(uri: Uri) -> str:
    """The URL of all objects below `gs://bucket/prefix` in Google's console; empty as in `object_url`."""
    return _url(uri, folder=True)


def _url(uri: Uri, *, folder: bool) -> str:
    # A server that stands in for Cloud Storage has no pages.
    if not uri.is_bucket or "STORAGE_EMULATOR_HOST" in os.environ:
        return ""
    bucket, name = quote(uri.bucket, safe=""), uri.key
    return f"{_CONSOLE}/{bucket}/{quote(name)}" if folder else f"{_CONSOLE}/_details/{bucket}/{quote(name)}"
