"""What operations are for, by their types and scopes: kinds that training has and serving must not have."""

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


# As the check of a signature's operations groups them; what each is for, the operations around it say better.
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
    """The kind that an operation's type tells by itself; None for what any network may use.

    Random operations count as dropout, and what changes a variable as batch statistics: what
    either is for, the operations around it say.
    """
    if _LOSS.search(operation_type):
        return Kind.LOSS
    group = find_group(operation_type, stateful=False)
    return _GROUPS.get(group.name) if group is not None else None


def looks_like_dropout(types: set[str]) -> bool:
    """Whether the operations of a scope, one of them random, are dropout's: a mask by comparison."""
    return bool(types & _COMPARISONS) and bool(types & _KEEPS)


class Purposes:
    """Tells what is special to training within one network.

    Args:
        operations: Scope and type of each operation.
        layers: Names of layers; what is in one layer says nothing of another.
    """

    def __init__(self, operations: Iterable[tuple[str, str]], layers: frozenset[str]) -> None:
        self._layers = layers
        self._types: dict[str, set[str]] = defaultdict(set)
        for scope, operation_type in operations:
            for path in self._up(scope):
                self._types[path].add(operation_type)

    def of(self, scope: str) -> Kind:
        """What the operations of a scope are for, by the innermost scope around them that tells."""
        around = [self._types[path] for path in self._up(scope)]
        for types in around:
            kinds = {own_kind(one) for one in types}
            if Kind.DROPOUT in kinds:
                # The mask is made around what draws the random numbers.
                masks = any(looks_like_dropout(outer) for outer in around)
                return Kind.DROPOUT if masks else Kind.AUGMENTATION
            if Kind.STATISTICS in kinds:
                return Kind.STATISTICS
        return Kind.NETWORK

    def _up(self, scope: str) -> Iterator[str]:
        """The scope and those around it, as far as its layer."""
        layer = layer_of(scope, self._layers)
        while len(scope) > len(layer):
            yield scope
            scope = scope.rpartition("/")[0]
        yield layer


def plain_scopes(scopes: Iterable[str], layers: frozenset[str]) -> dict[str, str]:
    """Take off the numbers that a drawing gave to its scopes.

    TensorFlow numbers a scope that is opened twice (`dense`, `dense_1`), so that one layer
    has another scope in each drawing. Layers are known by the names that they were given.

    Returns:
        Scope to the same by the layers' names.
    """
    siblings = _siblings(scopes)
    plain = {"": ""}
    for path in sorted(siblings, key=lambda one: one.count("/")):
        names = siblings[path]
        stripped = {name: _NUMBER.sub("", name) for name in names}
        known = [name for name in names if name in layers or stripped[name] in layers]
        # `dense_1` is the layer of this name, or `dense` drawn again: what fits all its siblings.
        all_numbered = len({stripped[name] for name in known} & layers) == len(known)
        for name in names:
            takes = stripped[name] in layers and (all_numbered or name not in layers)
            plain[_below(path, name)] = _below(plain[path], stripped[name] if takes else name)
    return plain


def align_scopes(served: Iterable[str], trained: Iterable[str]) -> dict[str, str]:
    """Where a served scope is none of training's, take its only sibling of the same stem.

    Returns:
        Served scope to the scope of training that it is, or to itself.
    """
    theirs, ours = _siblings(trained), _siblings(served)
    aligned = {"": ""}
    for path in sorted(ours, key=lambda one: one.count("/")):
        siblings: Collection[str] = theirs.get(aligned[path], ())
        free = [name for name in siblings if name not in ours[path]]
        for name in ours[path]:
            alike = [one for one in free if _NUMBER.sub("", one) == _NUMBER.sub("", name)]
            taken = alike[0] if name not in siblings and len(alike) == 1 else name
            aligned[_below(path, name)] = _below(aligned[path], taken)
    return aligned


@functools.lru_cache(maxsize=65536)  # operations of one scope ask one after the other
def layer_of(scope: str, layers: frozenset[str]) -> str:
    """The innermost layer that a scope belongs to; without any the outermost scope."""
    parts = scope.split("/")
    last = max((number for number, part in enumerate(parts) if part in layers), default=0)
    return "/".join(parts[: last + 1])


def _siblings(scopes: Iterable[str]) -> Mapping[str, list[str]]:
    """Path to the names below it, for every scope and all above it."""
    found: dict[str, dict[str, None]] = {}
    for scope in scopes:
        path = ""
        for name in scope.split("/") if scope else ():
            found.setdefault(path, {})[name] = None
            path = _below(path, name)
    return {path: sorted(names) for path, names in found.items()}


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
