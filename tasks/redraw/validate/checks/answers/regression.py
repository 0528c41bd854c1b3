"""Is an export worse than the live version by more than chance? A paired bootstrap of both's answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from redraw.inspect.answers.bootstrap import resample_metrics
from redraw.inspect.answers.metrics import lower_is_better
from redraw.records.measured import ComparedMetric, MeasuredMetrics

if TYPE_CHECKING:
    from redraw.definition import ModelDefinition
    from redraw.validate.subject.subject import Subject

# Of the differences that resampling gives, as many lie below the upper bound, and above the lower one.
_UPPER, _LOWER = 99.5, 0.5
# Metrics whose names say which way is better, of definitions without thresholds.
_KNOWN = ("accuracy", "error", "loss")


def gain_of(definition: ModelDefinition, name: str, value: float, live: float) -> float:
    """How much better a metric is than the live version's; below 0 if it is worse."""
    return live - value if lower_is_better(definition, name) else value - live


def measure_regression(subject: Subject, version: int, live: Mapping[str, float]) -> MeasuredMetrics:
    """Compare what is served with the live version, and say whether it is worse.

    It is worse if the metric that stands for the model is, by the same held-out requests, in 199 of 200
    draws of them. `max_regression` of that metric decides in place of this.
    """
    definition, served = subject.definition, subject.served_metrics
    names = _ordered(definition, [name for name in served if name in live])
    gains = _resampled_gains(subject, names) if names else {}
    metrics = tuple(
        ComparedMetric(
            name=name,
            here=_finite(served[name]),
            live=_finite(live[name]),
            lower_is_better=lower_is_better(definition, name),
            error=_error(gains.get(name, ())),
        )
        for name in names
    )
    worse = _verdict(definition, version, metrics[0], gains.get(names[0], ())) if metrics else ""
    return MeasuredMetrics(against=version, metrics=metrics, worse=worse)


def _ordered(definition: ModelDefinition, names: Sequence[str]) -> list[str]:
    bounded = list(definition.thresholds)
    return sorted(names, key=lambda name: (bounded.index(name) if name in bounded else len(bounded), name))


def _verdict(
    definition: ModelDefinition, version: int, metric: ComparedMetric, gains: Sequence[float]
) -> str:
    known = metric.name in definition.thresholds or metric.name.endswith(_KNOWN)
    if metric.name in definition.max_regression or not known or metric.here is None or metric.live is None:
        return ""
    gain = gain_of(definition, metric.name, metric.here, metric.live)
    if gain >= 0 or not len(gains) or float(np.percentile(gains, _UPPER)) >= 0:
        return ""
    return (
        f"{metric.name} {metric.here:.4g} is worse than {metric.live:.4g} of live version {version} on the"
        f" same requests, by {-gain:.3g} ± {metric.error or 0:.2g}"
    )


def _resampled_gains(subject: Subject, names: Sequence[str]) -> Mapping[str, list[float]]:
    """The gains in draws of the held-out requests; none of metrics that a draw cannot have."""
    draws = resample_metrics(subject.metrics_of_draw, names)
    return {
        name: [gain_of(subject.definition, name, here, live) for here, live in pairs.tolist()]
        for name, pairs in draws.items()
    }


def _error(gains: Sequence[float]) -> float | None:
    if not len(gains):
        return None
    return float(np.percentile(gains, _UPPER) - np.percentile(gains, _LOWER)) / 2


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
