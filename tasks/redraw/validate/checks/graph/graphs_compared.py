"""Does the serving graph have anything that only training needs? Compares the two graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping

from redraw.records import Check
from redraw.validate.graph_diff.compare import compare_graphs
from redraw.validate.graph_diff.comparison import Comparison, Part
from redraw.validate.graph_diff.picture import draw_picture
from redraw.validate.graph_diff.serving_graph import read_signatures
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject


def check_graphs(subject: Subject) -> Check:
    """Draw both graphs, and demand nothing in serving that only training needs: `graphs-compared`."""
    model, signatures = subject.exported.model, read_signatures(subject.meta_graph)
    allowed = subject.definition.stateful_ops
    comparison = compare_graphs(subject.resources.training_graph, signatures, allowed)
    subject.attachments["graphs.json"] = json.dumps(comparison.to_json(), indent=1, allow_nan=False)
    subject.attachments["graphs.svg"] = draw_picture(comparison, f"{model}: training and serving graphs")
    return conclude(
        "graphs-compared",
        looked_at=(
            f"the training graph ({sum(part.count for part in comparison.training)} operations) and what"
            f" {', '.join(signature.name for signature in signatures)} reach"
            f" ({sum(part.count for part in comparison.serving)})"
        ),
        expected="the serving graph has nothing that only training needs (dropout, input pipeline, gradients,"
        " optimizer, …)",
        found=_summarize(comparison),
        problems=[_problem(part) for part in comparison.serving if part.fate == "left"],
        advice=(
            "Build these parts only for Mode.TRAIN, and call every layer with training=False for"
            " Mode.SERVE. If a part is meant to be served, list the type of its operation in the"
            " definition's stateful_ops."
        ),
    )


def _summarize(comparison: Comparison) -> str:
    inputs = ", ".join(f"{tensor.name} {tensor.spec}" for tensor in comparison.placeholders)
    return (
        f"{comparison.count('shared')} operations shared; {comparison.count('removed')} removed"
        f" ({_by_kind(comparison.by_kind('removed'))}); {comparison.count('added')} added; inputs instead"
        f" of the input pipeline: {inputs or 'none'}"
    )


def _by_kind(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in kinds.items())


def _problem(part: Part) -> str:
    types = ", ".join(f"{count} {name}" for name, count in part.operations.items())
    return f"{part.kind} left in {part.scope or 'no scope'!r}: {types}"
