"""What a definition's file says, read without running it: a form can offer it at no cost."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, field

from redraw.definition import Applies
from redraw.errors import InvalidDefinition

__all__ = ["DefinitionText", "read_definition_text"]


@dataclass(frozen=True, kw_only=True)
class DefinitionText:
    """What stands in a definition's file.

    Attributes:
        summary: The first line of the module's docstring.
        applies: As `ModelDefinition.applies_to`.
        approval: As `ModelDefinition.approval`.
        metrics: The names in `ModelDefinition.thresholds`, as far as they are plain texts.
    """

    summary: str = ""
    applies: Applies = field(default_factory=Applies)
    approval: bool = False
    metrics: tuple[str, ...] = ()


# Each form, and each view of the pages, reads every definition.
@functools.lru_cache(maxsize=4096)
def read_definition_text(source: str) -> DefinitionText:
    """Read a definition's file; the same content is parsed once.

    Args:
        source: Its content.

    Returns:
        What the class says, and the defaults for what it does not.

    Raises:
        SyntaxError: It is no Python.
        ValueError: The same, for null bytes.
        InvalidDefinition: `applies_to` or `approval` is not written plainly.
    """
    tree = ast.parse(source)
    values = _class_attributes(tree)
    return DefinitionText(
        summary=(ast.get_docstring(tree) or "").partition("\n")[0],
        applies=_read_applies(values["applies_to"]) if "applies_to" in values else Applies(),
        approval=_read_approval(values["approval"]) if "approval" in values else False,
        metrics=_read_keys(values.get("thresholds")),
    )


def _class_attributes(tree: ast.Module) -> dict[str, ast.expr]:
    """Name to value of what the module's classes assign, with an annotation or without."""
    found: dict[str, ast.expr] = {}
    for statement in (line for node in tree.body if isinstance(node, ast.ClassDef) for line in node.body):
        if isinstance(statement, ast.Assign):
            found.setdefault(ast.unparse(statement.targets[0]), statement.value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found.setdefault(ast.unparse(statement.target), statement.value)
    return found


def _read_applies(value: ast.expr) -> Applies:
    try:
        if not isinstance(value, ast.Call) or value.args:
            raise ValueError(ast.unparse(value))
        given = {str(word.arg): ast.literal_eval(word.value) for word in value.keywords}
        return Applies(**given)
    except (ValueError, TypeError) as err:
        raise InvalidDefinition(
            f"applies_to: expected Applies(model=…, from_time=…, until=…) with plain texts, got"
            f" {ast.unparse(value)!r:.80}. Correct it."
        ) from err


def _read_approval(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        return value.value
    raise InvalidDefinition(
        f"approval: expected True or False, written out, got {ast.unparse(value)!r:.80}. Correct it."
    )


def _read_keys(value: ast.expr | None) -> tuple[str, ...]:
    if not isinstance(value, ast.Dict):
        return ()
    keys = [key.value for key in value.keys if isinstance(key, ast.Constant)]
    return tuple(key for key in keys if isinstance(key, str))
