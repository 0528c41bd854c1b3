"""Does asking the model change it? Statistics that a layer updates must stay as they were trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.checkpoint.dtypes import dtype_name
from tasks.records import Check
from tasks.validate.behaviour.declared import declared_kinds
from tasks.validate.outcome import conclude
from tasks.validate.serving.errors import ServingFailure

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["check_variables_unchanged"]

_INTEGERS = ("int32", "int64", "uint32", "uint64")  # what generators keep their state in


def check_variables_unchanged(subject: Subject) -> Check:
    """Compare every variable with what it was when it was loaded: the check `variables-unchanged`."""
    before, problems, admitted = subject.variables_at_load, list[str](), list[str]()
    after = before
    try:
        after = subject.served.digest_variables()
    except ServingFailure as err:
        problems = [f"the variables cannot be read: {err}"]
    kinds = sorted({kind for reached in declared_kinds(subject).values() for kind in reached})
    for name in sorted(before):
        if after.get(name) != before[name]:
            changed = f"variable {name!r} changed from {before[name]} to {after.get(name)} (CRC-32C)"
            (admitted if _may_change(subject, name, kinds) else problems).append(changed)
    return conclude(
        "variables-unchanged",
        looked_at=f"the values of {len(before)} variables when loaded, and after all requests",
        expected="the same values",
        found="; ".join((*admitted, f"declared: {', '.join(kinds)}")) if admitted else "the same values",
        problems=problems,
        advice="Draw the network for Mode.SERVE with training=False, so that nothing assigns to its"
        " variables; what must keep a state declares the operation in stateful_ops.",
    )


def _may_change(subject: Subject, name: str, kinds: Sequence[str]) -> bool:
    """Whether a declared kind of operation accounts for it: generators count in integers."""
    if any("Assign" in kind or "Scatter" in kind for kind in kinds):
        return True
    (node,) = (node for node in subject.meta_graph.graph_def.node if node.name == name)
    return dtype_name(node.attr["dtype"].type) in _INTEGERS and bool(kinds)
