"""Is what answers a request free of what training needs? By the types of operations, whatever their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.serving.graph.op_groups import find_group, runs_on_host
from redraw.serving.graph.serving_graph import is_stateful
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject


def check_inference_ops(subject: Subject) -> Check:
    """Demand that no signature reaches an operation that draws, updates, writes or trains: `inference-ops`.

    Operations in the definition's `stateful_ops` are allowed. The definition is imported only if the graph
    has such operations, because that costs the import of TensorFlow.
    """
    graph = subject.graph
    found = list(find_suspects(graph))
    declared = set(subject.definition.stateful_ops) if found else set()
    problems = [text for op, text in found if op not in declared]
    count = sum(len(reached.nodes) for reached in graph.answering.values())
    used = sorted({op for op, _ in found} & declared)
    return conclude(
        "inference-ops",
        looked_at=f"the {count} operations that {_named(graph)} reach",
        expected="none that draws at random, reads a queue or an iterator, writes a summary or a checkpoint,"
        " prints, updates variables, or is an optimizer's or a gradient's"
        + (f", but for {', '.join(sorted(declared))}" if declared else ""),
        found=f"only the declared {', '.join(used)}" if used else f"none among {count} operations",
        problems=problems,
        advice="Draw the network for Mode.SERVE without it (training=False reaches every layer?), or declare"
        " it in the definition's stateful_ops where the answer needs it.",
    )


def find_suspects(graph: ServingGraph) -> Iterator[tuple[str, str]]:
    """Each operation that signatures reach and that answering does not need: its type, and the words."""
    for signature, reached in graph.answering.items():
        for place, node in sorted(reached.nodes.items(), key=lambda item: str(item[0])):
            group = find_group(node.op, stateful=is_stateful(node.op))
            # What reaches outside of the server is the check host-code's to name.
            if group is not None and not (group.name == "state" and runs_on_host(node.op)):
                kind = f" ({group.name})"
                yield (
                    node.op,
                    f"signature {signature!r} reaches {node.op} {place}{kind}: it {group.reason}",
                )


def _named(graph: ServingGraph) -> str:
    return ", ".join(repr(name) for name in graph.answering) or "no signatures"
