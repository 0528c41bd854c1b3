"""Where the pages are, for whoever links to them; it imports nothing."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["MOUNT", "RUN_TAB", "TASK_TAB", "comparison_place", "model_place", "version_place"]

# Below Airflow's own root.
MOUNT = "/redraw"

# Airflow fills these in.
RUN_TAB = f"{MOUNT[1:]}/runs/{{DAG_ID}}/{{RUN_ID}}"
TASK_TAB = f"{RUN_TAB}/{{TASK_ID}}/{{MAP_INDEX}}"


def model_place(model: str) -> str:
    """The path of a model's page below the mount."""
    return f"/models/{quote(model, safe='')}"


def version_place(model: str, version: int) -> str:
    """The path of a version's page below the mount."""
    return f"{model_place(model)}/{version}"


def comparison_place(model: str, version: int, other: int) -> str:
    """The path of the page that holds a version beside another one, below the mount."""
    return f"{version_place(model, version)}/beside/{other}"
