"""What operations are for: the kinds that training has and serving must not have."""

from __future__ import annotations

import functools
import re
from enum import Enum

from redraw.validate.graph.op_groups import find_group

__all__ = ["Kind", "looks_like_dropout", "own_kind"]


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
    """The kind that an operation's type alone tells; None for what any network may use.

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
