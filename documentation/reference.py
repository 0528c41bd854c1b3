"""Generates pages of the reference from code; `make reference` writes them to docs/reference.

They are committed, so that they can be read in the repository. A test fails if one is outdated.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
import textwrap
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, get_args, get_origin

import redraw.errors
import redraw.publish.bucket.layout
import redraw.records
from documentation.record_keys import COMMON_KEYS
from redraw.commands import COMMANDS, Command
from redraw.errors import RedrawError, UsageError
from redraw.names import ModelName
from redraw.records import Record
from redraw.records.codec import json_key
from redraw.records.schema import SCHEMA
from redraw.uri import Uri
from redraw.validate.plan import PLAN, PLAN_OF_RECORDINGS, PlannedCheck
from redraw_airflow.settings import SETTINGS

__all__ = ["PAGES", "make_page", "public_names", "write_reference"]


def write_reference(folder: Path) -> None:
    """Write every page."""
    for name in PAGES:
        (folder / name).write_text(make_page(name))


def make_page(name: str) -> str:
    """The text of a page: its introduction, and the generated part."""
    introduction = Path(__file__).with_name("intros") / name
    return introduction.read_text() + "\n" + PAGES[name]()


def _commands() -> str:
    return "\n".join(_command(name, command) for name, command in COMMANDS.items())


def _command(name: str, command: Command) -> str:
    rows = [_flag(declared, command.request) for declared in fields(command.request)]
    table = ["| Flag | What it says |", "|---|---|", *rows] if rows else ["It has no flags."]
    lines = [f"## {name}\n", f"{command.request.__doc__}\n", *table]
    return "\n".join(lines) + f"\n\nPrints {_record_link(_returned(command.verb))}.\n"


def _flag(declared: Field[Any], request: type) -> str:
    hint = typing.get_type_hints(request)[declared.name]
    key = json_key(declared)
    text = declared.metadata["help"].replace("|", "\\|")
    dashed = f"--{key.replace('_', '-')}"
    flag = f"`{key.upper() if declared.metadata.get('positional') else dashed}`"
    if declared.default is MISSING and declared.default_factory is MISSING:
        text += " **(required)**"
    elif choices := _choices(hint):
        text += ": " + ", ".join(f"`{choice}`" for choice in choices)
    elif declared.default not in (None, "", False, (), MISSING):
        text += f" (`{declared.default}`)" if "default" not in text else ""
    return f"| {flag} | {text} |"


def _choices(hint: Any) -> tuple[Any, ...]:
    members = get_args(hint) if get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return next((get_args(member) for member in members if get_origin(member) is typing.Literal), ())


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    return Path(typing.cast(str, typing.cast(ModuleSpec, spec).origin))


def _function(name: str) -> ast.FunctionDef:
    """The syntax tree of `module:function`, read without importing TensorFlow."""
    module, _, function = name.partition(":")
    tree = ast.parse(_source(module).read_text())
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)


def _returned(verb: str) -> str:
    return ast.unparse(typing.cast(ast.expr, _function(verb).returns))


def _record_link(returned: str) -> str:
    links = [f"[`{name}`](records.md#{name.lower()})" for name in re.findall(r"\w+", returned)]
    return "a record: " + " or ".join(links)


def _settings() -> str:
    rows = [
        f"| `{setting.variable}` | {f'`{setting.name}`' if setting.configurable else ''} |"
        f" {setting.description} | {setting.unset} |"
        for setting in SETTINGS
    ]
    return "| Variable | Option | What it says | Default |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _errors() -> str:
    tree = (redraw.errors.__doc__ or "").split("\n\n")[1]
    errors = "".join(_error(error) for error in _descendants(RedrawError))
    return f"```text\n{textwrap.dedent(tree)}\n```\n{errors}"


def _descendants(error: type[RedrawError]) -> Iterator[type[RedrawError]]:
    for child in sorted(error.__subclasses__(), key=lambda child: child.__name__):
        if child.__module__ == redraw.errors.__name__:
            yield child
            yield from _descendants(child)


def _error(error: type[RedrawError]) -> str:
    parent = error.__bases__[0].__name__
    kind = f"A kind of [`{parent}`](#{parent.lower()}). " if parent != "RedrawError" else ""
    retry = "A retry can help." if error.retryable else "A retry without a change fails again."
    status = 2 if issubclass(error, UsageError) else 1
    return (
        f"\n## {error.__name__}\n\n{_first_paragraph(error.__doc__)}\n\n{kind}{retry} Exit status {status}.\n"
    )


def _checks() -> str:
    return "\n".join(_check(check) for check in (*PLAN[:-1], *PLAN_OF_RECORDINGS, PLAN[-1]))


def _check(check: PlannedCheck) -> str:
    function = _function(f"redraw.validate.checks.{check.function}")
    description = (ast.get_docstring(function) or "").split("\n\nRaises:")[0].split("\n\nSource:")[0]
    description = re.sub(rf": (the check )?`{check.name}`\.", ".", description)
    needs = ", ".join(f"[`{name}`](#{name})" for name in check.needs)
    after = f"It runs only after {needs} passed." if needs else "It always runs."
    recorded = " Only for a drafted definition." if check in PLAN_OF_RECORDINGS else ""
    return f"## {check.name}\n\n{description}\n\n**If it fails:** {_advice(check)}\n\n{after}{recorded}\n"


def _advice(check: PlannedCheck) -> str:
    """The advice of a report if the check fails: the `advice` of its function, or of one that it calls."""
    module, _, function = f"redraw.validate.checks.{check.function}".partition(":")
    tree = ast.parse(_source(module).read_text())
    constants = {
        ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)
    }
    check_function = _function(f"{module}:{function}")
    called = {ast.unparse(node.func) for node in ast.walk(check_function) if isinstance(node, ast.Call)}
    helpers = [node for node in tree.body if getattr(node, "name", "") in called]
    calls = [node for where in (check_function, *helpers, tree) for node in ast.walk(where)]
    advice = next(
        word.value
        for node in calls
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "conclude"
        for word in node.keywords
        if word.arg == "advice" and ast.unparse(word.value) != "''"
    )
    return _literal_text(advice, constants)


def _literal_text(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """A literal text, with the module's constants filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal_text(part, constants) for part in node.values)
    name = ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node)
    return _literal_text(constants[name], constants) if name in constants else "…"


def _records() -> str:
    return "\n".join(_record(cls) for cls in _record_classes())


def _record_classes() -> Iterable[type]:
    for module in pkgutil.walk_packages(redraw.records.__path__, "redraw.records."):
        importlib.import_module(module.name)
    classes: set[type] = {
        cls for cls in Record.__subclasses__() if cls.__module__.startswith("redraw.records.")
    }
    for cls in tuple(classes):
        classes |= _parts(cls)
    return sorted(classes, key=lambda cls: cls.__name__)


def _parts(cls: type) -> set[type]:
    """The dataclasses in a record's fields."""
    hints, parts = list(typing.get_type_hints(cls).values()), set()
    while hints:
        hint = hints.pop()
        if isinstance(hint, type) and is_dataclass(hint) and hint not in parts:
            parts.add(hint)
            hints += typing.get_type_hints(hint).values()
        hints += get_args(hint)
    return parts


def _record(cls: type) -> str:
    hints = typing.get_type_hints(cls, include_extras=False)
    rows = [
        f"| `{json_key(declared)}` | {_type_text(hints[declared.name])} | {_description(cls, declared)}"
        f"{_default(declared)} |"
        for declared in fields(cls)
    ]
    number = getattr(cls, SCHEMA, None) if issubclass(cls, Record) else None
    schema = f"\n\nIts `schema` is {number}." if number is not None else ""
    return (
        f"## {cls.__name__}\n\n{_first_paragraph(cls.__doc__)}{schema}\n\n"
        "| Key | Type | What |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _description(cls: type, declared: Field[Any]) -> str:
    key = json_key(declared)
    names = (f"{cls.__name__}.{key}", key)
    common = next((COMMON_KEYS[name] for name in names if name in COMMON_KEYS), "")
    return _attributes(cls.__doc__ or "").get(declared.name) or common


def _default(declared: Field[Any]) -> str:
    optional = declared.default is not MISSING or declared.default_factory is not MISSING
    return " Optional." if optional else ""


def _attributes(doc: str) -> dict[str, str]:
    """The attributes of a docstring in Google's style, by name."""
    section = re.search(r"^ *Attributes:\n(.*?)(?=\n\s*\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    if section is None:
        return {}
    attributes = re.findall(
        r"^ {4,8}(\w+): (.*?)(?=^ {4,8}\w+: |\Z)", section[1] + "\n", re.MULTILINE | re.DOTALL
    )
    return {name: " ".join(text.split()).replace("|", "\\|") for name, text in attributes}


def _type_text(hint: Any) -> str:
    if get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_type_text(member) for member in get_args(hint))
    if get_origin(hint) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    if hint is type(None):
        return "`null`"
    if get_origin(hint) is tuple:
        return f"list of {_type_text(get_args(hint)[0])}"
    if get_origin(hint) is not None and len(get_args(hint)) == 2:
        return f"object of {_type_text(get_args(hint)[1])}"
    if isinstance(hint, type) and is_dataclass(hint):
        return f"[`{hint.__name__}`](#{hint.__name__.lower()})"
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Any: "any"}
    names |= {ModelName: "a model's name", Uri: "path or `gs://` URI"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _first_paragraph(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split())


def public_names(package: str) -> dict[str, str]:
    """Public name to its module, from a package's `__init__.pyi`."""
    tree = ast.parse(_source(package).with_suffix(".pyi").read_text())
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return {alias.name: node.module for node in imports for alias in node.names if node.module}


def _python() -> str:
    def kind(name: str, module: str) -> str | None:
        if module.startswith(("redraw.errors", "redraw.records")):
            return None
        if module == "redraw.definition":
            return "Definitions"
        return "Requests" if name.endswith("Request") else "Verbs"

    return _directives("redraw", ("Definitions", "Verbs", "Requests"), kind)


def _airflow() -> str:
    def kind(name: str, module: str) -> str:
        if module == "redraw_airflow.dags":
            return "DAG functions"
        return "Operators" if name.endswith("Operator") else "Others"

    return _directives("redraw_airflow", ("DAG functions", "Operators", "Others"), kind)


def _directives(package: str, kinds: tuple[str, ...], kind: Callable[[str, str], str | None]) -> str:
    """A directive for each name, which mkdocstrings replaces by the signature and docstring."""
    directives = [
        (kind(name, module), f"::: {module}.{name}") for name, module in public_names(package).items()
    ]
    sections = (
        "\n\n".join([f"## {title}", *(line for section, line in directives if section == title)])
        for title in kinds
    )
    return "\n\n".join(sections) + "\n"


def _bucket() -> str:
    names = (redraw.publish.bucket.layout.__doc__ or "").split("\n\n")[1]
    return f"```text\n{textwrap.dedent(names)}\n```\n"


def _examples() -> str:
    folder = _source("redraw_airflow").parent / "example_dags"
    return "\n".join(_example(path) for path in sorted(folder.glob("example_*.py")))


def _example(path: Path) -> str:
    text = path.read_text()
    title = path.stem.removeprefix("example_").replace("_", " ").capitalize()
    mark = "<!-- not run: tests/dags/test_example_dags.py does it -->"
    return f"## {title}\n\n{ast.get_docstring(ast.parse(text))}\n\n{mark}\n```python\n{text}```\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": _commands,
    "settings.md": _settings,
    "errors.md": _errors,
    "checks.md": _checks,
    "records.md": _records,
    "bucket.md": _bucket,
    "examples.md": _examples,
    "python.md": _python,
    "airflow.md": _airflow,
}
