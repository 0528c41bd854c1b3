"""Is it as good as what is live now, asked the same?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.records.measured import METRICS_NAME, MeasuredMetrics
from redraw.serving import RequestRefused
from redraw.validate.checks.answers.regression import gain_of, measure_regression
from redraw.validate.outcome import CannotRun, conclude

if TYPE_CHECKING:
    from redraw.definition import ModelDefinition
    from redraw.validate.subject.subject import Subject

_NAME = "live-metrics"


def check_live_metrics(subject: Subject) -> Check:
    """Compare served metrics with the live version's on the same requests: the check `live-metrics`."""
    definition = subject.definition
    if subject.live is None:
        return _nothing("no live version to compare with")
    try:
        live = subject.live_metrics
    except RequestRefused as err:
        if not subject.allow_breaking:
            raise CannotRun(
                f"the live version {subject.live.release.version} refuses the same requests: {err}",
                "Allow the breaking change, or keep the signature.",
            ) from err
        return _nothing(
            f"the live version refuses the same requests, as was allowed: {subject.allow_breaking}"
        )
    unmeasured = sorted(set(definition.max_regression) - set(subject.served_metrics))
    if unmeasured:
        raise CannotRun(
            f"the answers to labelled requests do not give {', '.join(unmeasured)}",
            "Label the held-out examples, or correct the names in max_regression.",
        )
    measured = measure_regression(subject, subject.live.release.version, live)
    if measured.metrics:
        subject.attachments[METRICS_NAME] = measured.to_text()
    return conclude(
        _NAME,
        looked_at=f"the answers of this export and of live version {subject.live.release.version}"
        " to the same labelled requests",
        expected=_bounds(definition) or "no bounds declared (max_regression)",
        found=_found(subject, measured, live) or "no labelled requests",
        problems=_regressions(definition, subject.served_metrics, live),
        advice="Keep the live version, train longer, or change max_regression in the definition.",
    )


def _found(subject: Subject, measured: MeasuredMetrics, live: Mapping[str, float]) -> str:
    """Each metric next to the live version's, the one that stands for the model first."""
    names, served = [metric.name for metric in measured.metrics], subject.served_metrics
    compared = ", ".join(_compared(subject.definition, name, served[name], live[name]) for name in names)
    return compared + (
        f". A push does not make it live by itself: {measured.worse}" if measured.worse else ""
    )


def _nothing(why: str) -> Check:
    return conclude(
        _NAME, looked_at="nothing", expected="no bounds to keep", found=why, problems=[], advice=""
    )


def _bounds(definition: ModelDefinition) -> str:
    return ", ".join(
        f"{name} worse by {most:g} at most" for name, most in sorted(definition.max_regression.items())
    )


def _compared(definition: ModelDefinition, name: str, value: float, live: float) -> str:
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
