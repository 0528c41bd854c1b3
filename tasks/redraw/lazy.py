"""Import names of a package, and modules, when they are first used."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any


def lazy_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make a package's `__getattr__`, `__dir__` and `__all__` of the imports in its `__init__.pyi`.

    Returns:
        The three, in this order.

    Source:
        https://peps.python.org/pep-0562/
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text())
    homes = {
        alias.name: str(node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get, lambda: sorted(homes), sorted(homes)


class _StandIn(ModuleType):
    """Stands for a module until one of its names is used; then the real module is imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":  # `inspect.getmodule` asks every module
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _Deferring(Loader):
    """Finds and loads a stand-in for each of these modules, once."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        """A stand-in's specification; None for all other modules."""
        if name not in self._names:
            return None
        self._names.remove(name)
        return spec_from_loader(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing of the module yet."""


def defer_modules(*names: str) -> None:
    """Import modules without submodules only when one of their names is first used.

    An earlier import gets a stand-in. Modules that are imported already are not changed.
    """
    sys.meta_path.insert(0, _Deferring(names))
