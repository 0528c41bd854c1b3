"""Is it as good as what is live now, asked the same?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.serving import RequestRefused
from redraw.validate.outcome import CannotRun, conclude

if TYPE_CHECKING:
    from redraw.definition import ModelDefinition
    from redraw.validate.subject.subject import Subject

__all__ = ["check_live_metrics"]

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
            f"the answers to labelled requests do not tell {', '.join(unmeasured)}",
            "Label the held-out examples, or correct the names in max_regression.",
        )
    compared = [
        _compared(definition, name, value, live[name])
        for name, value in sorted(subject.served_metrics.items())
    ]
    return conclude(
        _NAME,
        looked_at=f"the answers of this export and of live version {subject.live.release.version}"
        " to the same labelled requests",
        expected=_bounds(definition) or "no bounds declared (max_regression)",
        found=", ".join(compared) or "no labelled requests",
        problems=_regressions(definition, subject.served_metrics, live),
        advice="Keep the live version, train longer, or change max_regression in the definition.",
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
    gain = _gain(definition, name, value, live)
    verdict = "equal" if gain == 0 else f"{'better' if gain > 0 else 'worse'} by {abs(gain):.3g}"
    return f"{name} {value:.6g}, {verdict} ({live:.6g} live)"


def _regressions(
    definition: ModelDefinition, served: Mapping[str, float], live: Mapping[str, float]
) -> Iterator[str]:
    for name, most in sorted(definition.max_regression.items()):
        gain = _gain(definition, name, served[name], live[name])
        if not gain >= -most:  # NaN is a regression too
            worse = f"worse by {-gain:.3g}, more than {most:g}"
            yield f"{name} {served[name]:.6g} ({live[name]:.6g} live): {worse}"


def _gain(definition: ModelDefinition, name: str, value: float, live: float) -> float:
    """How much better a metric is; lower is better where only an upper bound says so, and of errors."""
    bound = definition.thresholds.get(name)
    lower = (
        bound.at_least is None and bound.at_most is not None if bound else name.endswith(("error", "loss"))
    )
    return live - value if lower else value - live
