"""Do the metrics of what is served keep the definition's bounds?

What the server's answers to labelled requests tell counts first: it holds the whole
path to account, preprocessing and label names included. A metric that they do not tell,
such as a loss, is the checkpoint's own, as training recorded it; of a checkpoint that
came without metrics it is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from redraw.definition import Threshold
from redraw.errors import CheckpointMismatch
from redraw.records import Check
from redraw.validate.outcome import CannotRun, conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject


def check_thresholds(subject: Subject) -> Check:
    """Compare metrics with the definition's thresholds: the check `metric-thresholds`."""
    thresholds = subject.definition.thresholds
    served, recorded = subject.served_metrics, _recorded(subject)
    values = {name: value for name, value in {**recorded, **served}.items() if name in thresholds}
    missing = sorted(set(thresholds) - set(values))
    broken = [
        f"{name} {values[name]:.6g}, {'served' if name in served else 'of the checkpoint'}"
        for name, bound in sorted(thresholds.items())
        if name in values and not bound.admits(values[name])
    ]
    if missing and not broken:
        raise CannotRun(
            f"neither the served answers nor the evaluation give {', '.join(missing)}",
            "Correct the names in the definition's thresholds.",
        )
    found = ", ".join(f"{name} {value:.6g}" for name, value in sorted(values.items()))
    return conclude(
        "metric-thresholds",
        looked_at=(
            f"the answers to labelled requests, and the metrics of step {subject.exported.checkpoint.step},"
            f" {subject.exported.weights} weights"
        ),
        expected=", ".join(_bound(name, bound) for name, bound in sorted(thresholds.items())) or "no bounds",
        found=found or "no bounds to keep",
        problems=broken,
        advice="Train longer, choose another checkpoint, or change the threshold. If the checkpoint's own"
        " metrics are good, look at what serve does before and after the network.",
    )


def _recorded(subject: Subject) -> Mapping[str, float]:
    """What training measured of the weights that are served, or what the restored checkpoint shows."""
    exported = subject.exported
    prefix = "average_" if exported.weights == "average" else ""
    recorded = {
        name: math.nan if (value := exported.checkpoint.metrics[prefix + name]) is None else value
        for name in subject.definition.thresholds
        if prefix + name in exported.checkpoint.metrics
    }
    missing = set(subject.definition.thresholds) - set(recorded) - set(subject.served_metrics)
    if not missing:
        return recorded
    if lacking := subject.definition.lacks("evaluation_data", "loss"):
        raise CannotRun(
            f"there is no metric {', '.join(sorted(missing))}: the checkpoint came without, and the"
            f" definition has no {', '.join(lacking)}",
            "Add it, or take the thresholds out of the definition.",
        )
    try:
        return {**subject.reference[0].evaluate(), **recorded}
    except CheckpointMismatch as err:
        raise CannotRun(
            f"there is no metric {', '.join(sorted(missing))}, and the checkpoint cannot be evaluated: {err}",
            "Validate with the definition and the checkpoint that the export was made of.",
        ) from err


def _bound(name: str, bound: Threshold) -> str:
    low = "" if bound.at_least is None else f" at least {bound.at_least:g}"
    high = "" if bound.at_most is None else f" at most {bound.at_most:g}"
    return name + low + high
