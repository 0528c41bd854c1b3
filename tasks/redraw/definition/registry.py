"""Find definitions by name, in the packages that announce them and nowhere else.

An installed package announces its definitions by the entry point group `redraw.models`;
`REDRAW_MODELS` lists other packages in place of those. Listing reads the files without
importing them, so that a DAG file can offer the models in a form at no cost; only loading one
imports it. What is wrong with one package or one module makes its own models unusable and no other.
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
from dataclasses import dataclass, field, replace
from pathlib import Path

from redraw.definition import Applies, ModelDefinition
from redraw.definition.legacy_keras import demand_legacy_keras
from redraw.definition.packages import Package, list_packages
from redraw.definition.source_text import read_definition_text
from redraw.definition.user_code import running_user_code
from redraw.errors import InvalidDefinition, InvalidName, UnknownModel, one_line
from redraw.names import ModelName

_logger = logging.getLogger(__name__)

# Two changes of a file within so many seconds may have the same time.
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A definition's module, found and not imported.

    Attributes:
        name: The model's name, which is the module's last part.
        module: The module's full name.
        summary: The first line of its docstring.
        applies: Which checkpoints it is for.
        approval: Whether a person has to approve a publication.
        approval_by_another: Whether that person is not the one who started the run.
        legacy_keras: Whether TensorFlow's own Keras has to be Keras 2 where it runs.
        schedule: When it is trained again; empty: only by hand.
        owner: Whose it is.
        metrics: Those that it sets bounds for.
        change_tolerance: By how much floats may differ between versions; None if only running it would tell.
        trains: Whether it can be trained, as far as its text says.
        problem: Why it cannot be used, and what to do; empty where nothing is known to be wrong.
    """

    name: str
    module: str
    summary: str = ""
    applies: Applies = field(default_factory=Applies)
    approval: bool = False
    approval_by_another: bool = False
    legacy_keras: bool = False
    schedule: str = ""
    owner: str = ""
    metrics: tuple[str, ...] = ()
    change_tolerance: float | None = ModelDefinition.change_tolerance
    trains: bool = True
    problem: str = ""


def list_models() -> tuple[FoundModel, ...]:
    """The models of every package that announces some, by name.

    Returns:
        Each model once, sorted by name, those with a `problem` too; definitions that say they are
        another model's are none. What is wrong with a package as a whole is logged.

    Example:
        >>> [model.name for model in list_models() if not model.problem]  # doctest: +SKIP
        ['digits_graph', 'mnist', 'recommender', 'text_classifier']
    """
    for problem in list_problems():
        _logger.error("%s", problem)
    return tuple(model for model in _list_definitions() if not model.applies.model)


def list_problems() -> tuple[str, ...]:
    """What is wrong with packages that cannot be read at all, and with names of modules, a line each."""
    packages = list_packages()
    misnamed = (_misnamed(package, info) for package in packages for info in _modules_of(package))
    return tuple(filter(None, (*(package.problem for package in packages), *misnamed)))


def _list_definitions(name: str | None = None) -> tuple[FoundModel, ...]:
    """The definitions of every package, or only those whose module has a name."""
    found: dict[str, FoundModel] = {}
    for model in (model for package in list_packages() for model in _models_in(package, name)):
        twin = found.get(model.name)
        found[model.name] = model if twin is None else _defined_twice(twin, model)
    return tuple(found[name] for name in sorted(found))


def _defined_twice(model: FoundModel, twin: FoundModel) -> FoundModel:
    problem = (
        f"model {model.name!r}: expected one definition, got two, in {model.module} and {twin.module}."
        " Rename one, or name the packages to use in REDRAW_MODELS."
    )
    return replace(model, summary="", applies=Applies(), problem=problem)


def find_model(name: str) -> FoundModel:
    """Find a model's module without importing it.

    Args:
        name: As `list_models` names it.

    Returns:
        The module.

    Raises:
        InvalidName: The name has a form that no model has.
        UnknownModel: No package holds it.
        InvalidDefinition: Its file cannot be read, or two packages hold it.
    """
    name = ModelName(name)
    found = [model for model in _list_definitions(name) if not model.applies.model]
    if not found:
        known = tuple(model.name for model in _list_definitions() if not model.applies.model)
        raise UnknownModel(_unknown(name, known))
    if found[0].problem:
        raise InvalidDefinition(found[0].problem)
    return found[0]


def _unknown(name: str, known: Sequence[str]) -> str:
    packages = ", ".join(package.name for package in list_packages()) or "none"
    return " ".join(
        (
            f"model {name!r}: expected one of {', '.join(known) or 'none'}. Add its module to a package that"
            f" announces definitions (now {packages}), or correct the name.",
            *list_problems(),
        )
    )


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
    if problem := next((one.problem for one in family if one.problem), ""):
        raise InvalidDefinition(problem)
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
        The definition, checked against its contract.

    Raises:
        InvalidName: The name has a form that no model has.
        UnknownModel: No package holds it.
        MissingDependency: A library that it imports is not installed, such as TensorFlow.
        InvalidDefinition: The module fails to import, holds no definition or more
            than one, or its definition breaks the contract.
    """
    return _load(find_model(name))


def definition_for(name: str, trained_at: str) -> ModelDefinition:
    """The same for a checkpoint of some time; raises as `find_fitting` and `load_definition`."""
    return _load(find_fitting(name, trained_at))


def declared_ops(name: str, trained_at: str) -> tuple[str, ...]:
    """The `stateful_ops` of the definition for a checkpoint of some time; none without a usable one."""
    try:
        return definition_for(name, trained_at).stateful_ops
    except (InvalidName, UnknownModel, InvalidDefinition) as err:
        _logger.warning("no operations are declared: %s", err)
        return ()


def needs_legacy_keras(name: str) -> bool:
    """Whether a model's definition, or one of its earlier ones, runs with Keras 2; raises as `find_model`."""
    own = find_model(name)
    return own.legacy_keras or any(m.legacy_keras for m in _list_definitions() if m.applies.model == name)


def _load(found: FoundModel) -> ModelDefinition:
    if found.legacy_keras:
        demand_legacy_keras(f"module {found.module}")
    return _instantiate(found.module)


def _models_in(package: Package, name: str | None = None) -> Iterator[FoundModel]:
    for info in _modules_of(package):
        if name in (None, info.name) and not _misnamed(package, info):
            yield _read_module(package.name, info)


def _modules_of(package: Package) -> Iterator[pkgutil.ModuleInfo]:
    for info in pkgutil.iter_modules(package.folders):
        if not info.ispkg and not info.name.startswith("_"):
            yield info


def _misnamed(package: Package, info: pkgutil.ModuleInfo) -> str:
    """Why a module can be no model; empty if its name is one."""
    try:
        ModelName(info.name)
    except InvalidName as err:
        return f"module {package.name}.{info.name}: {err} Rename it, or begin its name with '_'."
    return ""


def _read_module(package: str, info: pkgutil.ModuleInfo) -> FoundModel:
    path, module = Path(info.module_finder.path) / f"{info.name}.py", f"{package}.{info.name}"  # type: ignore[union-attr]
    model = FoundModel(name=info.name, module=module)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")
        read = _describe if time.time() - status.st_ctime > _SETTLED_SECONDS else _describe.__wrapped__
        return read(module, path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    # A source that is nested too deep ends Python's parser by one of the last two.
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as err:
        reason = one_line(str(err) or type(err).__name__, 300)
        return replace(model, problem=f"module {module}: cannot be read: {reason}. Correct it.")


@functools.lru_cache(maxsize=4096)
def _describe(module: str, path: Path, _state: tuple[int, ...]) -> FoundModel:
    """What a module's file says; it is read once in each state."""
    # As bytes: its first lines may name another encoding than UTF-8.
    text = read_definition_text(path.read_bytes())
    return FoundModel(
        name=path.stem,
        module=module,
        summary=text.summary,
        applies=text.applies,
        approval=text.approval or text.approval_by_another,
        approval_by_another=text.approval_by_another,
        legacy_keras=text.legacy_keras,
        schedule=text.schedule,
        owner=text.owner,
        metrics=text.metrics,
        change_tolerance=text.change_tolerance,
        trains=text.trains,
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
                f"module {module_name}: expected one complete subclass of ModelDefinition,"
                f" found {names}. Keep one definition in each module."
            )
        definition = classes[0]()
        definition.check()
        return definition
