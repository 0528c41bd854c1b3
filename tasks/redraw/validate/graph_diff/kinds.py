"""What operations are for: the kinds that training has and serving must not have."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum

from redraw.serving.graph.op_groups import find_group
from redraw.validate.graph_diff.scopes import layer_of


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
