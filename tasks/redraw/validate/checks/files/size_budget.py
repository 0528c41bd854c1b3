"""Does the model fit where it is served?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.records import Check
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject


def check_size_budget(subject: Subject) -> Check:
    """Compare bytes and values of the export with the definition's budget: the check `size-budget`."""
    budget, size = subject.definition.budget, subject.reading.size_bytes
    entries = subject.bundle.entries
    values = sum(math.prod(entry.shape) for key, entry in entries.items() if key != OBJECT_GRAPH_KEY)
    problems = []
    if budget.size_bytes is not None and size > budget.size_bytes:
        problems.append(f"{size} bytes, {size - budget.size_bytes} too many")
    if budget.variables is not None and values > budget.variables:
        problems.append(f"{values} values in variables, {values - budget.variables} too many")
    live = f"; the live version has {subject.live.release.size_bytes} bytes" if subject.live else ""
    bounds = [
        f"at most {bound} {what}"
        for bound, what in ((budget.size_bytes, "bytes"), (budget.variables, "values in variables"))
        if bound is not None
    ]
    return conclude(
        "size-budget",
        looked_at=f"{len(subject.reading.files)} files and {len(entries)} tensors",
        expected=" and ".join(bounds) or "no bounds: the definition's budget has none",
        found=f"{size} bytes, {values} values in variables{live}",
        problems=problems,
        advice="Make the network smaller, or raise the definition's budget.",
    )
