"""What chance does to a metric: the same rows of both sides, drawn again and again with replacement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from redraw.errors import InvalidDefinition

_RESAMPLES = 200
_SEED = 19

Metrics = Mapping[str, float]


def resample_metrics(
    measure: Callable[[np.random.Generator], tuple[Metrics, Metrics]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Measure draws of the rows.

    Args:
        measure: The metrics of both sides by one draw.
        names: The metrics.

    Returns:
        Metric name to the values of both sides, [200, 2]; none of metrics that a draw cannot have.
    """
    random = np.random.default_rng(_SEED)
    found = np.full((_RESAMPLES, len(names), 2), np.nan)
    for draw in range(_RESAMPLES):
        try:
            sides = measure(random)
        except InvalidDefinition:  # what the definition measures may need all of them
            return {}
        found[draw] = [[side.get(name, np.nan) for side in sides] for name in names]
    kept = {name: found[:, place] for place, name in enumerate(names)}
    return {name: values for name, values in kept.items() if np.isfinite(values).all()}
