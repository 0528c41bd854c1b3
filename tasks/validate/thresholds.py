"""Do the metrics of the weights that are served keep the definition's bounds?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.definition import Threshold
from tasks.records import Check

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["check_thresholds"]


def check_thresholds(subject: Subject) -> Check:
    """Compare the checkpoint's metrics with the definition's thresholds: the check `metric-thresholds`."""
    exported, thresholds = subject.exported, subject.definition.thresholds
    prefix = "average_" if exported.weights == "average" else ""
    metrics = exported.checkpoint.metrics
    broken = []
    for name, bound in sorted(thresholds.items()):
        value = metrics.get(prefix + name)
        if value is None:
            broken.append(f"no metric {prefix + name!r}")
        elif not bound.admits(value):
            broken.append(f"{prefix + name} {value:.6g}")
    kept = ", ".join(f"{prefix + name} {metrics.get(prefix + name, 0):.6g}" for name in sorted(thresholds))
    return Check(
        name="metric-thresholds",
        status="failed" if broken else "passed",
        looked_at=f"the metrics of step {exported.checkpoint.step}, {exported.weights} weights",
        expected=", ".join(_bound(name, bound) for name, bound in sorted(thresholds.items())) or "no bounds",
        found=", ".join(broken) or kept or "no bounds to keep",
        advice="Train longer, choose another checkpoint, or change the threshold." if broken else "",
    )


def _bound(name: str, bound: Threshold) -> str:
    low = "" if bound.at_least is None else f" at least {bound.at_least:g}"
    high = "" if bound.at_most is None else f" at most {bound.at_most:g}"
    return name + low + high
