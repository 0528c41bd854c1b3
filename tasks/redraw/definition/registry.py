"""Find definitions by name, in the packages that `REDRAW_MODELS` lists and nowhere else.

Listing reads the files without importing them, so that a DAG file can offer the
models in a form at no cost; only loading one imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redraw.definition import Applies, ModelDefinition
from redraw.definition.source_text import read_definition_text
from redraw.errors import InvalidDefinition, UnknownModel
from redraw.names import ModelName

__all__ = [
    "FoundModel",
    "default_model",
    "definition_for",
    "find_fitting",
    "find_model",
    "list_models",
    "load_definition",
]

_DEFAULT_PACKAGES = "redraw.models"
_PREFERRED = "mnist"


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A definition's module, found and not imported.

    Attributes:
        name: The model's name, which is the module's last part.
        module: The module's full name.
        summary: The first line of its docstring.
        applies: Which checkpoints it is for.
        approval: Whether a person has to approve a publication, unless a run says otherwise.
        metrics: Those that it sets bounds for.
    """

    name: str
    module: str
    summary: str
    applies: Applies = field(default_factory=Applies)
    approval: bool = False
    metrics: tuple[str, ...] = ()


def list_models() -> tuple[FoundModel, ...]:
    """The models of every package in `REDRAW_MODELS` (comma-separated), by name.

    Returns:
        Each model once, sorted by name; definitions that say they are another model's are none.

    Raises:
        InvalidDefinition: A package that cannot be found, a module that cannot be
            read, or one name in two packages.
    """
    return tuple(model for model in _list_definitions() if not model.applies.model)


def default_model(names: Sequence[str]) -> str:
    """Which of the models, one at least, a run means that names none."""
    return _PREFERRED if _PREFERRED in names else names[0]


def _list_definitions() -> tuple[FoundModel, ...]:
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
    name = ModelName(name)
    models = {model.name: model for model in list_models()}
    if name not in models:
        packages = os.environ.get("REDRAW_MODELS", _DEFAULT_PACKAGES)
        known = ", ".join(models) or "none"
        raise UnknownModel(
            f"model {name!r}: expected one of {known}. Add its module to a package in"
            f" REDRAW_MODELS (now {packages}), or correct the name."
        )
    return models[name]


def find_fitting(name: str, trained_at: str) -> FoundModel:
    """Find the definition that draws a model's checkpoint of some time, without importing it.

    Args:
        name: As `list_models` names it.
        trained_at: When the checkpoint was saved, as records have it.

    Returns:
        The definition whose `applies_to` covers the time; the model's own where that sets no bound
        and no other covers it.

    Raises:
        InvalidName: The name has a form that no model has.
        UnknownModel: No package holds it.
        InvalidDefinition: None covers the time, or several do.
    """
    own = find_model(name)
    family = [own, *(other for other in _list_definitions() if other.applies.model == name)]
    fitting = [one for one in family if one.applies.covers(trained_at)]
    dated = [one for one in fitting if one.applies.bounded]
    chosen = dated or fitting
    if len(chosen) != 1:
        periods = "; ".join(f"{one.module} {one.applies}" for one in family)
        raise InvalidDefinition(
            f"model {name!r}: expected one definition for weights of {trained_at}, got {len(chosen)}:"
            f" {periods}. Correct their applies_to, or add a definition."
        )
    return chosen[0]


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
    return _load(find_model(name))


def definition_for(name: str, trained_at: str) -> ModelDefinition:
    """The same for a checkpoint of some time; raises as `find_fitting` and `load_definition`."""
    return _load(find_fitting(name, trained_at))


def _load(found: FoundModel) -> ModelDefinition:
    definition = _instantiate(found.module)
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
        _read_module(package, info)
        for info in pkgutil.iter_modules(folders)
        if not info.ispkg and not info.name.startswith("_")
    ]


def _read_module(package: str, info: pkgutil.ModuleInfo) -> FoundModel:
    path, module = Path(info.module_finder.path) / f"{info.name}.py", f"{package}.{info.name}"  # type: ignore[union-attr]
    try:
        said = read_definition_text(path.read_text())
    except InvalidDefinition as err:
        raise InvalidDefinition(f"module {module}, {err}") from err
    except (OSError, SyntaxError, ValueError) as err:
        return FoundModel(name=info.name, module=module, summary=f"cannot be read: {err}")
    return FoundModel(
        name=info.name,
        module=module,
        summary=said.summary,
        applies=said.applies,
        approval=said.approval,
        metrics=said.metrics,
    )


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
