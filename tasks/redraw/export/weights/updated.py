"""Refuse moving averages that training never updated: they would be served as the batch's statistics."""

from __future__ import annotations

import numpy as np

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.definition import ModelDefinition, RecordedDefinition
from redraw.errors import CheckpointMismatch
from redraw.export.weights.ledger import Ledger

_SHOWN = 5


def demand_updated(definition: ModelDefinition, ledger: Ledger, source: CheckpointSource) -> None:
    """Compare the averages that a recorded definition serves with their initial values.

    Args:
        definition: The definition; of another kind than recorded it passes.
        ledger: Where the values are.
        source: The checkpoint.

    Raises:
        CheckpointMismatch: An average still is what it was before the first step.
    """
    if not isinstance(definition, RecordedDefinition):
        return
    keys = {served.variable: served.key for served in ledger.served}
    names = {variable.node: variable.key for variable in definition.redrawn.variables}
    untouched = [
        average.variable
        for average in definition.redrawn.averages
        if average.initial is not None
        and np.array_equal(source.read_array(keys[names[average.variable]]), average.initial)
    ]
    if untouched:
        more = f" and {len(untouched) - _SHOWN} more" if len(untouched) > _SHOWN else ""
        raise CheckpointMismatch(
            f"{source.uri}: expected moving averages that training updated, got the initial values in"
            f" {', '.join(untouched[:_SHOWN])}{more}: nobody ran the update operations (UPDATE_OPS), so that"
            " there is nothing to serve in place of the batch's statistics. Choose another checkpoint."
        )
