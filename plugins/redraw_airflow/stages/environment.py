"""Where a stage's process is started, and what the process that starts it passes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import redraw
from redraw.definition.packages import list_packages
from redraw.settings import CONTROL_FD, ENGINE_SETTINGS, environment_of
from redraw_airflow.settings import PYTHON


def source_root() -> Path | None:
    """The folder that `python -m redraw` is started in, so that it finds this `redraw` and no other."""
    root = Path(redraw.__file__).resolve().parents[1]
    # Installed, it is found without: and another interpreter must not see this one's libraries.
    return None if root.name in {"site-packages", "dist-packages"} else root


def stage_flags() -> tuple[str, ...]:
    """The interpreter's flags: no file of the working folder shadows a module of an installed Redraw."""
    return () if source_root() else ("-P",)


def stage_environment(control: int) -> dict[str, str]:
    """This process's environment without Airflow's part, which may hold connections and keys.

    The stage does not read Airflow's configuration: it gets what `[redraw]` sets of the engine as variables.

    Args:
        control: The stage's end of the socket, by the number that it inherits.
    """
    kept = {key: value for key, value in os.environ.items() if not key.lstrip("_").startswith("AIRFLOW")}
    known = kept.get("PYTHONPATH", "").split(os.pathsep)
    path = os.pathsep.join(filter(None, dict.fromkeys([*known, *_definition_roots()])))
    search = {"PYTHONPATH": path} if path else {}
    return {**kept, **search, **environment_of(ENGINE_SETTINGS), CONTROL_FD: str(control)}


def _definition_roots() -> list[str]:
    """Where definitions lie that are not installed, as in a DAG bundle: a stage imports from there, too."""
    roots = (root for package in list_packages() for root in package.roots)
    installed = {"site-packages", "dist-packages"}
    return [root for root in roots if not installed.intersection(Path(root).parts)]


def stage_python() -> str:
    """The interpreter of the stages: `REDRAW_PYTHON`, or else this process's."""
    return PYTHON.read() or sys.executable
