"""Is each weight stored once, and only where a signature needs it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.records import Check
from redraw.validate.outcome import CannotRun, conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}


def check_single_copy(subject: Subject) -> Check:
    """Demand that every stored tensor is restored into one variable that a signature reads: `single-copy`."""
    entries = {key: entry for key, entry in subject.bundle.entries.items() if key != OBJECT_GRAPH_KEY}
    problems = [*find_copies(subject.graph, set(entries)), *_ledger_problems(subject)]
    return conclude(
        "single-copy",
        looked_at=f"{len(entries)} tensors, the variables that they are restored into, and the variables that"
        " signatures read",
        expected="each tensor is restored into one variable, which a signature reads, and each variable from"
        " one tensor",
        found=f"{len(entries)} tensors, each read by a signature and stored once",
        problems=problems,
        advice="Export with 'redraw export', which stores only served variables.",
    )


def find_copies(graph: ServingGraph, keys: set[str]) -> Iterator[str]:
    """Describe each stored tensor that no signature reads or that is stored twice."""
    read = {
        node.attr["shared_name"].s.decode() or node.name
        for subgraph in graph.answering.values()
        for node in subgraph.nodes.values()
        if node.op in _VARIABLES
    }
    owners: dict[str, list[str]] = {}
    for key in sorted(keys):
        variables = graph.restored.get(key)
        if not variables:
            yield f"tensor {key!r} is restored into no variable"
        for variable in variables or ():
            owners.setdefault(variable, []).append(key)
    for variable, sources in owners.items():
        if len(sources) > 1:
            yield f"variable {variable!r} is stored twice, as {' and '.join(map(repr, sources))}"
        if variable not in read:
            yield f"variable {variable!r} is stored as {sources[0]!r}, and no signature reads it"


def _ledger_problems(subject: Subject) -> Iterator[str]:
    try:
        rows = subject.ledger["served"]
    except CannotRun:
        # The check weights-source reports that; find_copies needs no ledger.
        return
    owners: dict[str, list[str]] = {}
    for row in rows:
        owners.setdefault(row["key"], []).append(row["variable"])
    for key, variables in owners.items():
        if len(variables) > 1:
            yield f"the checkpoint's {key!r} is stored twice, as {' and '.join(map(repr, variables))}"
