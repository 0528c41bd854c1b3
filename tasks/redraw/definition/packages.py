"""The packages with definitions: announced by entry points, or listed in `REDRAW_MODELS`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from redraw.errors import InvalidSetting
from redraw.setting_kinds import definition_folders
from redraw.settings import MODELS

_GROUP = "redraw.models"
# If Redraw is on the path but not installed, no entry point announces its examples.
_EXAMPLES = "redraw.models"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package whose modules are definitions.

    Attributes:
        name: Its import name.
        folders: The folders of its modules; empty if it cannot be found.
        problem: Why it cannot be used, and what to do; empty if it can.
    """

    name: str
    folders: tuple[str, ...] = ()
    problem: str = ""

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders from which Python would import it."""
        return tuple(str(Path(folder).parents[self.name.count(".")]) for folder in self.folders)


def list_packages() -> tuple[Package, ...]:
    """The packages with definitions: those of `REDRAW_MODELS` if it is set, else those installed.

    Returns:
        Each package once, in the order of the setting, or by name.

    Source:
        https://packaging.python.org/en/latest/specifications/entry-points/
    """
    try:
        names = MODELS.read()
    except InvalidSetting as err:
        return (Package(name=MODELS.variable, problem=str(err)),)
    return tuple(_find(name, f"{MODELS.variable} names") for name in dict.fromkeys(names)) or tuple(
        _announced()
    )


def _announced() -> Iterator[Package]:
    announced = {point.value: point for point in _entry_points()}
    for name, point in sorted(announced.items()):
        installed = f" of {point.dist.name}" if point.dist is not None else ""
        yield _find(name, f"the entry point {point.name!r}{installed} in the group {_GROUP} names")
    if not announced:
        yield _find(_EXAMPLES, "Redraw names")


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    """The entry points, read once: a process does not see later installations."""
    return tuple(entry_points(group=_GROUP))


def _find_spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name) or _find_elsewhere(name)
    except ModuleNotFoundError:  # a parent package is missing
        if (spec := _find_elsewhere(name)) is None:
            raise
        return spec


def _find_elsewhere(name: str) -> ModuleSpec | None:
    """Find a package in folders that Python does not import from, such as Airflow's DAG bundles."""
    path: Sequence[str] | None = definition_folders()
    for folder in path or ():
        # Python caches that a folder is missing, such as a bundle before it is downloaded.
        if sys.path_importer_cache.get(folder) is None:
            sys.path_importer_cache.pop(folder, None)
    spec, parts = None, name.split(".")
    for number in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: number + 1]), path) if path else None
        path = None if spec is None else spec.submodule_search_locations
    return spec


def _find(name: str, source: str) -> Package:
    """Find a package without importing it; importing its parent packages may raise anything."""
    try:
        spec = _find_spec(name)
    except Exception as err:
        problem = (
            f"{source} {name!r}: expected a Python package, got {type(err).__name__}: {err}. Correct the"
            " name or the package."
        )
        return Package(name=name, problem=problem)
    if spec is None or spec.submodule_search_locations is None:
        problem = (
            f"{source} {name!r}: expected a Python package, found none. Install the package, add its folder"
            " to PYTHONPATH, or correct the name."
        )
        return Package(name=name, problem=problem)
    return Package(name=name, folders=tuple(spec.submodule_search_locations))
