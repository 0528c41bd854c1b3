"""What operations are for, by their types and scopes, including the kinds that only training may have."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum

from redraw.serving.graph.op_groups import find_group

_NUMBER = re.compile(r"_\d+$")


class Kind(Enum):
    """What an operation of the training graph is for."""

    INPUT = "input pipeline"
    NETWORK = "network"
    DROPOUT = "dropout"
    AUGMENTATION = "augmentation"
    STATISTICS = "batch statistics"
    LOSS = "loss"
    GRADIENT = "gradient"
    OPTIMIZER = "optimizer"
    AVERAGE = "moving average"
    EVALUATION = "evaluation"
    SUMMARY = "summaries"
    SAVING = "checkpoint saving"


# The kinds of the groups in `op_groups`; the operations around one refine the kind.
_GROUPS = {
    "queue": Kind.INPUT,
    "iterator": Kind.INPUT,
    "summary": Kind.SUMMARY,
    "save": Kind.SAVING,
    "optimizer": Kind.OPTIMIZER,
    "random": Kind.DROPOUT,
    "gradient": Kind.GRADIENT,
    "update": Kind.STATISTICS,
}
_LOSS = re.compile("CrossEntropyWithLogits$|^CTCLoss")
_COMPARISONS = {"GreaterEqual", "Greater", "Less", "LessEqual"}
_KEEPS = {"SelectV2", "Select", "Mul"}


@functools.cache
def own_kind(operation_type: str) -> Kind | None:
    """The kind of an operation by its type alone; None for types that any network may use.

    Random operations count as dropout, and operations that change a variable as batch statistics; the
    operations around them refine that.
    """
    if _LOSS.search(operation_type):
        return Kind.LOSS
    group = find_group(operation_type, stateful=False)
    return _GROUPS.get(group.name) if group is not None else None


def looks_like_dropout(types: set[str]) -> bool:
    """Whether a scope with a random operation is a dropout: a comparison makes a mask."""
    return bool(types & _COMPARISONS) and bool(types & _KEEPS)


class Purposes:
    """Recognizes the training-only parts of one network.

    Args:
        operations: Scope and type of each operation.
        layers: Names of layers, each of which is judged by itself.
    """

    def __init__(self, operations: Iterable[tuple[str, str]], layers: frozenset[str]) -> None:
        self._layers = layers
        self._types: dict[str, set[str]] = defaultdict(set)
        for scope, operation_type in operations:
            for path in self._up(scope):
                self._types[path].add(operation_type)

    def of(self, scope: str) -> Kind:
        """What the operations of a scope are for, by the innermost scope that tells."""
        around = [self._types[path] for path in self._up(scope)]
        for types in around:
            kinds = {own_kind(op_type) for op_type in types}
            if Kind.DROPOUT in kinds:
                # The scopes around the random operation have the mask.
                masks = any(looks_like_dropout(outer) for outer in around)
                return Kind.DROPOUT if masks else Kind.AUGMENTATION
            if Kind.STATISTICS in kinds:
                return Kind.STATISTICS
        return Kind.NETWORK

    def _up(self, scope: str) -> Iterator[str]:
        """The scope and the scopes around it, up to its layer."""
        layer = layer_of(scope, self._layers)
        while len(scope) > len(layer):
            yield scope
            scope = scope.rpartition("/")[0]
        yield layer


def plain_scopes(scopes: Iterable[str], layers: frozenset[str]) -> dict[str, str]:
    """Remove the numbers that TensorFlow added to scopes.

    TensorFlow numbers a scope that is opened twice (`dense`, `dense_1`), so a layer may have a
    different scope each time that it is drawn. The layers' names tell which numbers were added.

    Returns:
        Scope to the scope without added numbers.
    """
    siblings = _siblings(scopes)
    plain = {"": ""}
    for path in sorted(siblings, key=lambda path: path.count("/")):
        names = siblings[path]
        stripped = {name: _NUMBER.sub("", name) for name in names}
        layer_names = [name for name in names if name in layers or stripped[name] in layers]
        # `dense_1` is the layer of that name, or `dense` drawn again, depending on all its siblings.
        all_numbered = len({stripped[name] for name in layer_names} & layers) == len(layer_names)
        for name in names:
            takes = stripped[name] in layers and (all_numbered or name not in layers)
            plain[_below(path, name)] = _below(plain[path], stripped[name] if takes else name)
    return plain


def align_scopes(served: Iterable[str], trained: Iterable[str]) -> dict[str, str]:
    """Map served scopes to training's: one that training lacks, to the only one that differs in its number.

    Returns:
        Served scope to the scope in training, or to itself.
    """
    trained_names, served_names = _siblings(trained), _siblings(served)
    aligned = {"": ""}
    for path in sorted(served_names, key=lambda path: path.count("/")):
        candidates: Collection[str] = trained_names.get(aligned[path], ())
        free = [name for name in candidates if name not in served_names[path]]
        for name in served_names[path]:
            alike = [other for other in free if _NUMBER.sub("", other) == _NUMBER.sub("", name)]
            match = alike[0] if name not in candidates and len(alike) == 1 else name
            aligned[_below(path, name)] = _below(aligned[path], match)
    return aligned


@functools.lru_cache(maxsize=65536)  # operations of one scope follow each other
def layer_of(scope: str, layers: frozenset[str]) -> str:
    """The innermost layer of a scope, or its outermost scope if it belongs to no layer."""
    parts = scope.split("/")
    last = max((number for number, part in enumerate(parts) if part in layers), default=0)
    return "/".join(parts[: last + 1])


def _siblings(scopes: Iterable[str]) -> Mapping[str, list[str]]:
    """Path to the names below it, for every scope and every scope above it."""
    names_below: dict[str, dict[str, None]] = {}
    for scope in scopes:
        path = ""
        for name in scope.split("/") if scope else ():
            names_below.setdefault(path, {})[name] = None
            path = _below(path, name)
    return {path: sorted(names) for path, names in names_below.items()}


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
