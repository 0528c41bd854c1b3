"""Find definitions by name, in the packages that `REDRAW_MODELS` lists and nowhere else.

Listing reads the files without importing them, so that a DAG file can offer the
models in a form at no cost; only loading one imports it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
from dataclasses import dataclass
from pathlib import Path

from tasks.definition import ModelDefinition
from tasks.errors import InvalidDefinition, UnknownModel
from tasks.names import check_model_name

__all__ = ["FoundModel", "find_model", "list_models", "load_definition"]

_DEFAULT_PACKAGES = "tasks.models"


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A definition's module, found and not imported.

    Attributes:
        name: The model's name, which is the module's last part.
        module: The module's full name.
        summary: The first line of its docstring.
    """

    name: str
    module: str
    summary: str


def list_models() -> tuple[FoundModel, ...]:
    """The models of every package in `REDRAW_MODELS` (comma-separated), by name.

    Returns:
        Each model once, sorted by name.

    Raises:
        InvalidDefinition: A package that cannot be found, a module that cannot be
            read, or one name in two packages.
    """
    found: dict[str, FoundModel] = {}
    for package in os.environ.get("REDRAW_MODELS", _DEFAULT_PACKAGES).split(","):
        for model in _models_in(package.strip()):
            if model.name in found:
                raise InvalidDefinition(
                    f"model {model.name!r} is defined twice, in {found[model.name].module} and"
                    f" {model.module}. Rename one, or take one package out of REDRAW_MODELS."
                )
            found[model.name] = model
    return tuple(found[name] for name in sorted(found))


def find_model(name: str) -> FoundModel:
    """Find a model's module without importing it.

    Args:
        name: As `list_models` names it.

    Returns:
        The module.

    Raises:
        InvalidName: The name has a form that no model has.
        UnknownModel: No package holds it.
        InvalidDefinition: As `list_models`.
    """
    check_model_name(name)
    models = {model.name: model for model in list_models()}
    if name not in models:
        packages = os.environ.get("REDRAW_MODELS", _DEFAULT_PACKAGES)
        known = ", ".join(models) or "none"
        raise UnknownModel(
            f"model {name!r}: expected one of {known}. Add its module to a package in"
            f" REDRAW_MODELS (now {packages}), or correct the name."
        )
    return models[name]


def load_definition(name: str) -> ModelDefinition:
    """Import a model's module and make its definition.

    Args:
        name: As `list_models` names it.

    Returns:
        The definition, held to its contract.

    Raises:
        InvalidName: The name has a form that no model has.
        UnknownModel: No package holds it.
        InvalidDefinition: The module fails to import, holds no definition or more
            than one, or its definition breaks the contract.
    """
    definition = _instantiate(find_model(name).module)
    definition.check()
    return definition


def _models_in(package: str) -> list[FoundModel]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError) as err:
        raise InvalidDefinition(f"REDRAW_MODELS names {package!r}, which fails: {err}.") from err
    if spec is None or spec.submodule_search_locations is None:
        raise InvalidDefinition(
            f"REDRAW_MODELS names {package!r}: expected a package on PYTHONPATH, found none."
        )
    folders = list(spec.submodule_search_locations)
    return [
        FoundModel(name=info.name, module=f"{package}.{info.name}", summary=_summary(info))
        for info in pkgutil.iter_modules(folders)
        if not info.ispkg and not info.name.startswith("_")
    ]


def _summary(info: pkgutil.ModuleInfo) -> str:
    path = Path(info.module_finder.path) / f"{info.name}.py"  # type: ignore[union-attr]
    try:
        docstring = ast.get_docstring(ast.parse(path.read_text()))
    except (OSError, SyntaxError, ValueError) as err:
        return f"cannot be read: {err}"
    return (docstring or "").partition("\n")[0]


def _instantiate(module_name: str) -> ModelDefinition:
    try:
        module = importlib.import_module(module_name)
        classes = [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, ModelDefinition)
            and value.__module__ == module_name
            and not inspect.isabstract(value)
        ]
        if len(classes) != 1:
            names = ", ".join(c.__name__ for c in classes) or "none"
            raise InvalidDefinition(
                f"module {module_name}: expected one complete subclass of ModelDefinition,"
                f" found {names}. Keep one definition in each module."
            )
        return classes[0]()
    except InvalidDefinition:
        raise
    except Exception as err:
        raise InvalidDefinition(
            f"module {module_name} fails with {type(err).__name__}: {err}. Mend the definition."
        ) from err
