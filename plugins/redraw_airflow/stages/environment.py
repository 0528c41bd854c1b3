"""The folder, interpreter and environment of a stage's process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import redraw
from redraw.definition.packages import list_packages
from redraw.setting_kinds import environment_of
from redraw.settings import CONTROL_FD, ENGINE_SETTINGS
from redraw_airflow.settings import PYTHON


def source_root() -> Path | None:
    """The folder from which `python -m redraw` finds this checkout; None if Redraw is installed."""
    root = Path(redraw.__file__).resolve().parents[1]
    # An installed Redraw needs no folder, and another interpreter must not import this one's libraries.
    return None if root.name in {"site-packages", "dist-packages"} else root


def stage_flags() -> tuple[str, ...]:
    """Flags of the interpreter: files of the working folder must not shadow an installed Redraw."""
    return () if source_root() else ("-P",)


def stage_environment(control: int) -> dict[str, str]:
    """This process's environment without Airflow's variables, which may contain connections and keys.

    The stage does not read Airflow's configuration. It gets the engine's settings of `[redraw]` as variables.

    Args:
        control: The number of the stage's end of the socket, which the stage inherits.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.lstrip("_").startswith("AIRFLOW")}
    paths = inherited.get("PYTHONPATH", "").split(os.pathsep)
    path = os.pathsep.join(filter(None, dict.fromkeys([*paths, *_definition_roots()])))
    search = {"PYTHONPATH": path} if path else {}
    return {**inherited, **search, **environment_of(ENGINE_SETTINGS), CONTROL_FD: str(control)}


def _definition_roots() -> list[str]:
    """The folders of definitions that are not installed, such as a DAG bundle: a stage imports them, too."""
    roots = (root for package in list_packages() for root in package.roots)
    installed = {"site-packages", "dist-packages"}
    return [root for root in roots if not installed.intersection(Path(root).parts)]


def stage_python() -> str:
    """The interpreter of the stages: `REDRAW_PYTHON`, or else this process's."""
    return PYTHON.read() or sys.executable
