"""Do the served metrics keep the definition's bounds, and are they as good as the live version's?

Metrics of the server's answers to labelled requests come first: they cover the whole path, including
preprocessing and label names. For a metric that the answers do not give, such as a loss, the checks use
what training recorded in the checkpoint, or evaluate the checkpoint if it came without metrics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from redraw.definition import ModelDefinition, Threshold
from redraw.errors import CheckpointMismatch
from redraw.inspect.answers.metrics import finite, lower_is_better
from redraw.inspect.answers.samples import resample_metrics
from redraw.records import Check
from redraw.records.attachments import METRICS_NAME, ComparedMetric, MeasuredMetrics
from redraw.serving import RequestRefused
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.subject import Subject

_NAME = "live-metrics"
# The percentiles of the resampled differences that bound their interval.
_UPPER, _LOWER = 99.5, 0.5
# Without thresholds: the ends of metric names that tell whether higher or lower is better.
_DIRECTED = ("accuracy", "error", "loss")


def check_live_metrics(subject: Subject) -> Check:
    """Compare served metrics with the live version's on the same requests: the check `live-metrics`."""
    definition = subject.definition
    if subject.live is None:
        return _conclude_without_comparison("no live version to compare with")
    try:
        live = subject.live_metrics
    except RequestRefused as err:
        if not subject.allow_breaking:
            raise CannotRun(
                f"the live version {subject.live.release.version} refuses the same requests: {err}",
                "Keep the signature, or allow the breaking change: --allow-breaking REASON.",
            ) from err
        return _conclude_without_comparison(
            f"the live version refuses the same requests, as was allowed: {subject.allow_breaking}"
        )
    unmeasured = sorted(set(definition.max_regression) - set(subject.served_metrics))
    if unmeasured:
        raise CannotRun(
            f"the answers to labelled requests do not measure {', '.join(unmeasured)}",
            "Add labels to the held-out examples, or correct the names in max_regression.",
        )
    measured = measure_regression(subject, subject.live.release.version, live)
    if measured.metrics:
        subject.attachments[METRICS_NAME] = measured.to_text()
    return conclude(
        _NAME,
        looked_at=f"the answers of this export and of live version {subject.live.release.version}"
        " to the same labelled requests",
        expected=_bounds(definition) or "no bounds declared (max_regression)",
        found=_summarize(subject, measured, live) or "no labelled requests",
        problems=_regressions(definition, subject.served_metrics, live),
        advice="Keep the live version, train longer, or change max_regression in the definition.",
    )


def _summarize(subject: Subject, measured: MeasuredMetrics, live: Mapping[str, float]) -> str:
    """Each metric next to the live version's, the primary metric first."""
    names, served = [metric.name for metric in measured.metrics], subject.served_metrics
    compared = ", ".join(
        _compare_metric(subject.definition, name, served[name], live[name]) for name in names
    )
    return compared + (
        f". 'redraw push' does not make this version live by itself: {measured.worse}"
        if measured.worse
        else ""
    )


def _conclude_without_comparison(why: str) -> Check:
    return conclude(
        _NAME, looked_at="nothing", expected="no bounds to keep", found=why, problems=[], advice=""
    )


def _bounds(definition: ModelDefinition) -> str:
    return ", ".join(
        f"{name} worse by {most:g} at most" for name, most in sorted(definition.max_regression.items())
    )


def _compare_metric(definition: ModelDefinition, name: str, value: float, live: float) -> str:
    gain = gain_of(definition, name, value, live)
    verdict = "equal" if gain == 0 else f"{'better' if gain > 0 else 'worse'} by {abs(gain):.3g}"
    return f"{name} {value:.6g}, {verdict} ({live:.6g} live)"


def _regressions(
    definition: ModelDefinition, served: Mapping[str, float], live: Mapping[str, float]
) -> Iterator[str]:
    for name, most in sorted(definition.max_regression.items()):
        gain = gain_of(definition, name, served[name], live[name])
        if not gain >= -most:  # NaN is a regression too
            worse = f"worse by {-gain:.3g}, more than {most:g}"
            yield f"{name} {served[name]:.6g} ({live[name]:.6g} live): {worse}"


def gain_of(definition: ModelDefinition, name: str, value: float, live: float) -> float:
    """How much better a metric is than the live version's; negative if it is worse."""
    return live - value if lower_is_better(definition, name) else value - live


def measure_regression(subject: Subject, version: int, live: Mapping[str, float]) -> MeasuredMetrics:
    """Compare the served metrics with the live version's, and decide whether the export is worse.

    It is worse if its primary metric is worse in 199 of 200 draws of the same held-out requests (a paired
    bootstrap). If `max_regression` has a bound for that metric, the bound decides instead.
    """
    definition, served = subject.definition, subject.served_metrics
    names = _ordered(definition, [name for name in served if name in live])
    gains = _resampled_gains(subject, names) if names else {}
    metrics = tuple(
        ComparedMetric(
            name=name,
            here=finite(served[name]),
            live=finite(live[name]),
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
    has_direction = metric.name in definition.thresholds or metric.name.endswith(_DIRECTED)
    if (
        metric.name in definition.max_regression
        or not has_direction
        or metric.here is None
        or metric.live is None
    ):
        return ""
    gain = gain_of(definition, metric.name, metric.here, metric.live)
    if gain >= 0 or not len(gains) or float(np.percentile(gains, _UPPER)) >= 0:
        return ""
    return (
        f"{metric.name} {metric.here:.4g} is worse than {metric.live:.4g} of live version {version} on the"
        f" same requests, by {-gain:.3g} ± {metric.error or 0:.2g}"
    )


def _resampled_gains(subject: Subject, names: Sequence[str]) -> Mapping[str, list[float]]:
    """Metric name to its gains in draws of the held-out requests, without metrics that a draw may lack."""
    draws = resample_metrics(subject.metrics_of_draw, names)
    return {
        name: [gain_of(subject.definition, name, here, live) for here, live in pairs.tolist()]
        for name, pairs in draws.items()
    }


def _error(gains: Sequence[float]) -> float | None:
    if not len(gains):
        return None
    return float(np.percentile(gains, _UPPER) - np.percentile(gains, _LOWER)) / 2


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
            f"neither the served answers nor the evaluation measure {', '.join(missing)}",
            "Correct the names in the definition's thresholds.",
        )
    measured = ", ".join(f"{name} {value:.6g}" for name, value in sorted(values.items()))
    return conclude(
        "metric-thresholds",
        looked_at=(
            f"the answers to labelled requests, and the metrics of step {subject.exported.checkpoint.step},"
            f" {subject.exported.weights} weights"
        ),
        expected=", ".join(_bound(name, bound) for name, bound in sorted(thresholds.items())) or "no bounds",
        found=measured or "no bounds to keep",
        problems=broken,
        advice="Train longer, choose another checkpoint, or change the threshold. If the checkpoint's own"
        " metrics are good, check what serve does before and after the network.",
    )


def _recorded(subject: Subject) -> Mapping[str, float]:
    """The metrics that training recorded for the served weights, or those of the restored checkpoint."""
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
            f"there is no metric {', '.join(sorted(missing))}: the checkpoint has no recorded value, and"
            f" the definition has no {', '.join(lacking)}",
            f"Add {' and '.join(lacking)}, or remove the thresholds from the definition.",
        )
    try:
        return {**subject.reference[0].evaluate(), **recorded}
    except CheckpointMismatch as err:
        raise CannotRun(
            f"there is no metric {', '.join(sorted(missing))}, and the checkpoint cannot be evaluated: {err}",
            "Validate with the definition and the checkpoint that the export was made from.",
        ) from err


def _bound(name: str, bound: Threshold) -> str:
    low = "" if bound.at_least is None else f" at least {bound.at_least:g}"
    high = "" if bound.at_most is None else f" at most {bound.at_most:g}"
    return name + low + high
