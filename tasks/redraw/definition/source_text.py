"""Read a definition's file without running it, so that a form can offer it at no cost."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from redraw.definition import Applies, ModelDefinition
from redraw.errors import InvalidDefinition, one_line

# Limits of texts that forms and pages show.
_LONGEST_SUMMARY = 300
_LONGEST_TEXT = 100
_KINDS = ("ModelDefinition", "GraphFunctionDefinition", "RecordedDefinition")
_TRAINING = {"training_data", "evaluation_data", "loss"}


@dataclass(frozen=True, kw_only=True)
class DefinitionText:
    """The attributes of a definition that its file gives.

    Attributes:
        summary: The first line of the module's docstring.
        applies: Its `applies_to`: which checkpoints it is for.
        approval: Whether a person must approve a publication.
        approval_by_another: Whether that person must not be the one who started the run.
        legacy_keras: Whether it needs Keras 2 as TensorFlow's own Keras.
        schedule: When Airflow trains it again; empty: only by hand.
        owner: Who is responsible for it.
        metrics: The names in its `thresholds` that are plain texts.
        change_tolerance: By how much floats may differ between versions; None if only running it would tell.
        trains: Whether it can be trained; True also if only running it would tell.
        problem: Which of these is not written as a literal, and what to do; empty if all are.
    """

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


# Each form, and each view of the pages, reads every definition.
@functools.lru_cache(maxsize=4096)
def read_definition_text(source: str | bytes) -> DefinitionText:
    """Read a definition's file; the same content is parsed once.

    Returns:
        The attributes of the class, with defaults for those that it does not set.

    Raises:
        SyntaxError: It is no Python.
        ValueError: The same, for null bytes.
        RecursionError: It is nested too deep; for some depths it is a MemoryError.
    """
    tree = ast.parse(source)
    values = _class_attributes(tree)
    applies, applies_problem = _read_applies(values.get("applies_to"))
    approval, approval_problem = _read_truth(values, "approval")
    by_another, another_problem = _read_truth(values, "approval_by_another")
    legacy_keras, keras_problem = _read_truth(values, "legacy_keras")
    schedule, schedule_problem = _read_text(values, "schedule")
    owner, owner_problem = _read_text(values, "owner")
    problems = (
        applies_problem,
        approval_problem,
        another_problem,
        keras_problem,
        schedule_problem,
        owner_problem,
    )
    return DefinitionText(
        summary=one_line((ast.get_docstring(tree) or "").partition("\n")[0], _LONGEST_SUMMARY),
        applies=applies,
        approval=approval,
        legacy_keras=legacy_keras,
        approval_by_another=by_another,
        schedule=schedule,
        owner=owner,
        metrics=_read_keys(values.get("thresholds")),
        change_tolerance=_read_amount(values, "change_tolerance", ModelDefinition.change_tolerance),
        trains=_read_trains([node for node in tree.body if isinstance(node, ast.ClassDef)]),
        problem=next(filter(None, problems), ""),
    )


def _class_attributes(tree: ast.Module) -> dict[str, ast.expr]:
    """Name to value of the assignments in the module's classes."""
    attributes: dict[str, ast.expr] = {}
    for statement in (line for node in tree.body if isinstance(node, ast.ClassDef) for line in node.body):
        if isinstance(statement, ast.Assign):
            attributes.setdefault(ast.unparse(statement.targets[0]), statement.value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            attributes.setdefault(ast.unparse(statement.target), statement.value)
    return attributes


def _read_applies(value: ast.expr | None) -> tuple[Applies, str]:
    """The value, and the problem with it; even with a problem it has the model's name if possible."""
    if value is None:
        return Applies(), ""
    keywords = {str(word.arg): word.value for word in value.keywords} if isinstance(value, ast.Call) else {}
    try:
        if not isinstance(value, ast.Call) or value.args:
            raise ValueError(ast.unparse(value))
        return Applies(**{name: ast.literal_eval(word) for name, word in keywords.items()}), ""
    except (ValueError, TypeError, InvalidDefinition) as err:
        model = keywords.get("model")
        whose = model.value if isinstance(model, ast.Constant) and isinstance(model.value, str) else ""
        if isinstance(err, InvalidDefinition):
            return Applies(model=whose), str(err)
        return Applies(model=whose), (
            "applies_to: expected Applies(model=…, from_time=…, until=…) with string literals, got"
            f" {ast.unparse(value)!r:.80}. Correct the definition."
        )


def _read_truth(values: Mapping[str, ast.expr], name: str) -> tuple[bool, str]:
    value = values.get(name)
    if value is None:
        return False, ""
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        return value.value, ""
    return False, (
        f"{name}: expected the literal True or False, got {ast.unparse(value)!r:.80}. Correct the definition."
    )


def _read_text(values: Mapping[str, ast.expr], name: str) -> tuple[str, str]:
    value = values.get(name)
    if value is None:
        return "", ""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and len(value.value) <= _LONGEST_TEXT:
        return value.value, ""
    return "", (
        f"{name}: expected a string literal of at most {_LONGEST_TEXT} characters, got"
        f" {ast.unparse(value)!r:.80}. Correct the definition."
    )


def _read_amount(values: Mapping[str, ast.expr], name: str, default: float) -> float | None:
    """The amount, or the default if there is none; None if it is not a literal."""
    value = values.get(name)
    if value is None:
        return default
    amount = value.value if isinstance(value, ast.Constant) else None
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < math.inf:
        return None
    return float(amount)


def _read_trains(classes: list[ast.ClassDef]) -> bool:
    """Whether the definition has all methods for training; methods of other modules count as present."""
    bases = {node.name: [ast.unparse(base).rpartition(".")[2] for base in node.bases] for node in classes}
    inherited = {base for names in bases.values() for base in names}
    for node in classes:
        if node.name in inherited or len(bases[node.name]) != 1 or bases[node.name][0] not in _KINDS:
            continue
        methods = {line.name for line in node.body if isinstance(line, ast.FunctionDef)}
        methods |= {ast.unparse(line.targets[0]) for line in node.body if isinstance(line, ast.Assign)}
        return bases[node.name] != ["RecordedDefinition"] and methods >= _TRAINING
    return True


def _read_keys(value: ast.expr | None) -> tuple[str, ...]:
    if not isinstance(value, ast.Dict):
        return ()
    keys = [key.value for key in value.keys if isinstance(key, ast.Constant)]
    return tuple(key for key in keys if isinstance(key, str))
