"""The random or stateful operations that a definition declares, where the graph has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject


def declared_kinds(subject: Subject) -> Mapping[str, tuple[str, ...]]:
    """Signature name to the kinds of the definition's `stateful_ops` that answering it may run."""
    declared = set(subject.definition.stateful_ops)
    if not declared:
        return {}
    return {
        name: tuple(sorted(declared & {node.op for node in reached.nodes.values()}))
        for name, reached in subject.graph.answering.items()
    }


def declared_variables(subject: Subject) -> set[str]:
    """The variables that declared operations are given, and so may change: a generator's state, say."""
    declared, found = set(subject.definition.stateful_ops), set[str]()
    for reached in subject.graph.answering.values() if declared else ():
        for place, node in reached.nodes.items():
            if node.op in declared:
                for tensor in node.input:
                    found |= {origin.name for origin in subject.graph.origins(reached, place, tensor)}
    return found
