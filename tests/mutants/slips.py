"""Small slips that could be made in a module, and a sample of them by seed."""

from __future__ import annotations

import ast
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator

__all__ = ["Slip", "apply_slip", "sample_slips"]

# One counterpart for each operator, which a tired author could write: cosmic-ray has eleven for a plus.
_COMPARISONS = ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is")
_ARITHMETIC = (
    "Add_Sub",
    "Sub_Add",
    "Mul_FloorDiv",
    "Div_Mul",
    "FloorDiv_Mul",
    "Mod_FloorDiv",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
    "LShift_RShift",
    "RShift_LShift",
)
_OTHERS = (
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
    "ReplaceUnaryOperator_Delete_Not",
)
# What a statement is for when it begins so is no behaviour: log lines.
_SPEAKS = ("log.", "logger.", "_logger.", "logging.")
# Arguments that only refuse what no caller does: without them everything that works works the same.
_GUARDS = {"frozen", "kw_only", "slots", "strict"}


class DropCall(Operator):
    """Forgets a statement that only calls something, a check most of all; cosmic-ray has nothing like it."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Where such a statement stands."""
        if node.type == "simple_stmt" and _is_call(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Put `pass` in its place."""
        call = node.children[0]
        node.children[0] = parso.python.tree.Name("pass", call.start_pos, call.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """As cosmic-ray asks of every operator."""
        return (Example("check(x)\n", "pass\n"),)


def _is_call(node: Any) -> bool:
    called = node.type in ("atom_expr", "power") and node.children[-1].type == "trailer"
    return called and node.children[-1].children[0] == "(" and not node.get_code(False).startswith(_SPEAKS)


OPERATORS: Mapping[str, Operator] = {
    **{name: get_operator(f"core/ReplaceComparisonOperator_{name}")() for name in _COMPARISONS},
    **{name: get_operator(f"core/ReplaceBinaryOperator_{name}")() for name in _ARITHMETIC},
    **{name: get_operator(f"core/{name}")() for name in _OTHERS},
    "DropCall": DropCall(),
}


@dataclass(frozen=True, kw_only=True)
class Slip:
    """One change of one module.

    Attributes:
        module: Its path below the checkout.
        line: Where the change stands, from 1.
        operator: A key of `OPERATORS`.
        occurrence: Which of the module's places for that operator, from 0.
    """

    module: str
    line: int
    operator: str
    occurrence: int


def sample_slips(root: Path, packages: Sequence[str], count: int, seed: int) -> Iterator[Slip]:
    """Draw slips, from each package in turn, each place of its code as probable as any other.

    Args:
        root: The checkout.
        packages: Paths below it.
        count: How many in all.
        seed: The same draws the same from the same code, and the first ones of a smaller number.

    Yields:
        Each slip once.
    """
    draws = [_draws(root, package, random.Random(seed)) for package in packages]  # noqa: S311 - no secret
    turns = (slip for turn in zip_longest(*draws) for slip in turn if slip is not None)
    yield from islice(turns, count)


def _draws(root: Path, package: str, rng: random.Random) -> Iterator[Slip]:
    """Every place of a package in an order by chance, with one of its slips."""
    places: list[list[Slip]] = []
    for path in sorted((root / package).rglob("*.py")):
        places += _places(path.relative_to(root).as_posix(), path.read_text())
    rng.shuffle(places)
    for slips in places:
        slip = rng.choice(slips)
        if apply_slip((root / slip.module).read_text(), slip) is not None:
            yield slip


def _places(module: str, source: str) -> list[list[Slip]]:
    found: defaultdict[Any, list[Slip]] = defaultdict(list)
    counts: defaultdict[str, int] = defaultdict(int)
    for node in ast_nodes(get_ast(source)):
        for name, operator in OPERATORS.items():
            for start, _ in operator.mutation_positions(node):
                slip = Slip(module=module, line=start[0], operator=name, occurrence=counts[name])
                found[start].append(slip)
                counts[name] += 1
    return list(found.values())


def apply_slip(source: str, slip: Slip) -> str | None:
    """The source with the slip in it; None if it changes nothing that runs, or is no Python."""
    changed: str | None = mutate_code(source, OPERATORS[slip.operator], slip.occurrence)
    if changed is None:
        return None
    try:
        return changed if _what_runs(changed) != _what_runs(source) else None
    except SyntaxError:  # cosmic-ray takes the slash between two parameters for a division
        return None


def _what_runs(source: str) -> str:
    """A module without what a slip cannot be seen in.

    These are annotations, their imports and protocols, which nothing evaluates, guards, types that have a
    name, and limits, where one more or less is as good: constants, computed numbers like `1 << 16`, and how
    much of a value a message shows.
    """
    tree = ast.parse(source)
    tree.body = [statement for statement in tree.body if not _is_constant(statement)]
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.test = ast.Constant(None)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            node.body = []
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.keyword) and node.arg in _GUARDS:
            node.value = ast.Constant(None)
        elif isinstance(node, ast.FormattedValue):
            _forget_lengths(node)
        elif isinstance(node, ast.BinOp) and _is_number(node.left) and _is_number(node.right):
            node.left = node.right = ast.Constant(None)
    return ast.dump(tree)


def _forget_lengths(shown: ast.FormattedValue) -> None:
    """Take away how much of a value a message shows at most: one character more or less is as good."""
    for node in ast.walk(shown):
        if isinstance(node, ast.Slice) and node.upper is not None and _is_number(node.upper):
            node.upper = ast.Constant(None)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _is_constant(statement: ast.stmt) -> bool:
    plain = (
        ast.Constant,
        ast.Name,
        ast.Attribute,
        ast.BinOp,
        ast.UnaryOp,
        ast.operator,
        ast.unaryop,
        ast.expr_context,
    )
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return False
    # Several constants in one line are no less constants; a tuple by one name is a choice of values.
    several = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple)
    values = statement.value.elts if several and isinstance(statement.value, ast.Tuple) else [statement.value]
    return all(isinstance(node, plain) for value in values for node in ast.walk(value))
