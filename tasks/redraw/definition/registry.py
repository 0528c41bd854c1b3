"""Find definitions by name, in the packages that announce them and nowhere else.

An installed package announces its definitions with the entry point group `redraw.models`; `REDRAW_MODELS`
lists other packages instead. Listing reads the files without importing them, so that a DAG file can offer the
models in a form at no cost; only loading a definition imports it. An error in one package or module does not
affect the models of others.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import pkgutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from redraw.definition import Applies, ModelDefinition
from redraw.definition.legacy_keras import demand_legacy_keras
from redraw.definition.packages import Package, list_packages
from redraw.definition.source_text import DefinitionText, read_definition_text
from redraw.definition.user_code import running_user_code
from redraw.errors import InvalidDefinition, InvalidName, UnknownModel, one_line
from redraw.names import ModelName

_logger = logging.getLogger(__name__)

# Two changes of a file within so many seconds may have the same modification time.
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class FoundModel(DefinitionText):
    """A definition's module, which was read but not imported.

    Attributes:
        name: The model's name, which is the module's last part.
        module: The module's full name.
        problem: Why it cannot be used, and what to do; empty if its text has no error.
    """

    name: str
    module: str


def list_models() -> tuple[FoundModel, ...]:
    """The models of every package that announces some, by name.

    Returns:
        Each model once, sorted by name, also with a `problem`, but without earlier definitions of another
        model. Problems of whole packages are logged.

    Example:
        >>> [model.name for model in list_models() if not model.problem]  # doctest: +SKIP
        ['digits_graph', 'mnist', 'recommender', 'text_classifier']
    """
    for problem in list_problems():
        _logger.error("%s", problem)
    return tuple(model for model in _list_definitions() if not model.applies.model)


def list_problems() -> tuple[str, ...]:
    """Problems of packages that cannot be read, and of modules' names, one line each."""
    packages = list_packages()
    misnamed = (_misnamed(package, info) for package in packages for info in _modules_of(package))
    return tuple(filter(None, (*(package.problem for package in packages), *misnamed)))


def _list_definitions(name: str | None = None) -> tuple[FoundModel, ...]:
    """The definitions of every package, or only those with a name."""
    models: dict[str, FoundModel] = {}
    for model in (model for package in list_packages() for model in _models_in(package, name)):
        twin = models.get(model.name)
        models[model.name] = model if twin is None else _defined_twice(twin, model)
    return tuple(models[name] for name in sorted(models))


def _defined_twice(model: FoundModel, twin: FoundModel) -> FoundModel:
    problem = (
        f"model {model.name!r}: expected one definition, got two, in {model.module} and {twin.module}."
        " Rename one module, or list only the packages to use in REDRAW_MODELS."
    )
    return replace(model, summary="", applies=Applies(), problem=problem)


def find_model(name: str) -> FoundModel:
    """Find a model's module without importing it.

    Args:
        name: The model's name.

    Returns:
        The module.

    Raises:
        InvalidName: The name is not a valid model name.
        UnknownModel: No package has it.
        InvalidDefinition: Its file cannot be read, or two packages have it.
    """
    name = ModelName(name)
    models = [model for model in _list_definitions(name) if not model.applies.model]
    if not models:
        names = tuple(model.name for model in _list_definitions() if not model.applies.model)
        raise UnknownModel(_unknown(name, names))
    if models[0].problem:
        raise InvalidDefinition(models[0].problem)
    return models[0]


def _unknown(name: str, names: Sequence[str]) -> str:
    packages = ", ".join(package.name for package in list_packages()) or "none"
    return " ".join(
        (
            f"model {name!r}: expected one of {', '.join(names) or 'none'}. Correct the name, or add the"
            f" model's module to a package of definitions (searched: {packages}; to search others, set"
            " REDRAW_MODELS).",
            *list_problems(),
        )
    )


def find_fitting(name: str, trained_at: str) -> FoundModel:
    """Find the definition for a model's checkpoint of some time, without importing it.

    Args:
        name: The model's name.
        trained_at: When the checkpoint was saved, in the form of records.

    Returns:
        The definition whose `applies_to` covers the time; the model's own if that has no bound and no other
        covers the time.

    Raises:
        InvalidName: The name is not a valid model name.
        UnknownModel: No package has it.
        InvalidDefinition: None covers the time, or several do.
    """
    own = find_model(name)
    family = [own, *(model for model in _list_definitions() if model.applies.model == name)]
    if problem := next((model.problem for model in family if model.problem), ""):
        raise InvalidDefinition(problem)
    fitting = [model for model in family if model.applies.covers(trained_at)]
    dated = [model for model in fitting if model.applies.bounded]
    chosen = dated or fitting
    if len(chosen) != 1:
        periods = "; ".join(f"{model.module} {model.applies}" for model in family)
        raise InvalidDefinition(
            f"model {name!r}: expected one definition for weights trained at {trained_at}, got"
            f" {len(chosen)}: {periods}. Correct applies_to in these definitions, or add a definition for"
            " that time."
        )
    return chosen[0]


def load_definition(name: str) -> ModelDefinition:
    """Import a model's module and make its definition.

    Args:
        name: The model's name.

    Returns:
        The definition, checked against its contract.

    Raises:
        InvalidName: The name is not a valid model name.
        UnknownModel: No package has it.
        MissingDependency: A library that it imports is not installed, such as TensorFlow.
        InvalidDefinition: The module fails to import, has no definition or more than one, or its definition
            breaks the contract.
    """
    return _load(find_model(name))


def definition_for(name: str, trained_at: str) -> ModelDefinition:
    """Import the definition for a model's checkpoint of some time.

    Args:
        name: The model's name.
        trained_at: When the checkpoint was saved, in the form of records.

    Raises:
        RedrawError: There is no such definition, or it cannot be loaded.
    """
    return _load(find_fitting(name, trained_at))


def declared_ops(name: str, trained_at: str) -> tuple[str, ...]:
    """The `stateful_ops` of the definition for a checkpoint of some time; none without a usable one."""
    try:
        return definition_for(name, trained_at).stateful_ops
    except (InvalidName, UnknownModel, InvalidDefinition) as err:
        _logger.warning("no operations are declared: %s", err)
        return ()


def needs_legacy_keras(name: str) -> bool:
    """Whether a model's definition, or one of its earlier ones, runs with Keras 2.

    Raises:
        RedrawError: There is no such model, or its file cannot be read.
    """
    own = find_model(name)
    return own.legacy_keras or any(m.legacy_keras for m in _list_definitions() if m.applies.model == name)


def _load(model: FoundModel) -> ModelDefinition:
    if model.legacy_keras:
        demand_legacy_keras(f"module {model.module}")
    return _instantiate(model.module)


def _models_in(package: Package, name: str | None = None) -> Iterator[FoundModel]:
    for info in _modules_of(package):
        if name in (None, info.name) and not _misnamed(package, info):
            yield _read_module(package.name, info)


def _modules_of(package: Package) -> Iterator[pkgutil.ModuleInfo]:
    for info in pkgutil.iter_modules(package.folders):
        if not info.ispkg and not info.name.startswith("_"):
            yield info


def _misnamed(package: Package, info: pkgutil.ModuleInfo) -> str:
    """Why a module's name is not valid for a model; empty if it is valid."""
    try:
        ModelName(info.name)
    except InvalidName as err:
        return f"module {package.name}.{info.name}: {err} Rename the module, or begin its name with '_'."
    return ""


def _read_module(package: str, info: pkgutil.ModuleInfo) -> FoundModel:
    path, module = Path(info.module_finder.path) / f"{info.name}.py", f"{package}.{info.name}"  # type: ignore[union-attr]
    model = FoundModel(name=info.name, module=module)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        read = _describe if time.time() - status.st_ctime > _SETTLED_SECONDS else _describe.__wrapped__
        return read(module, path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    # Python's parser raises one of the last two if a source is nested too deeply.
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as err:
        reason = one_line(str(err) or type(err).__name__, 300)
        return replace(
            model, problem=f"module {module}: the file cannot be read: {reason}. Correct the file."
        )


@functools.lru_cache(maxsize=4096)
def _describe(module: str, path: Path, _state: tuple[int, ...]) -> FoundModel:
    """Read a module's file, once for each state of the file."""
    # As bytes: its first lines may name another encoding than UTF-8.
    text = read_definition_text(path.read_bytes())
    model = FoundModel(name=path.stem, module=module, **vars(text))
    return replace(
        model,
        approval=text.approval or text.approval_by_another,
        problem=f"module {module}, {text.problem}" if text.problem else "",
    )


def _instantiate(module_name: str) -> ModelDefinition:
    with running_user_code(f"module {module_name}"):
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
                f"module {module_name}: expected exactly one concrete subclass of ModelDefinition, found"
                f" {names}. Define one such class in each module."
            )
        definition = classes[0]()
        definition.check()
        return definition
