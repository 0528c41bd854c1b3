"""Metrics with their bounds: which of several values of one metric decides."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from redraw.definition import Threshold
from redraw.validate.checks.answers.metrics import check_thresholds
from redraw.validate.outcome import CannotRun

NAN = float("nan")


def subject(
    served: Mapping[str, float],
    recorded: Mapping[str, float],
    thresholds: Mapping[str, Threshold] | None = None,
    weights: str = "raw",
    measured: Mapping[str, float] | None = None,
) -> Any:
    """What the check asks of a subject."""
    checkpoint = SimpleNamespace(step=7, metrics=recorded)
    return SimpleNamespace(
        definition=SimpleNamespace(
            thresholds=thresholds or {"accuracy": Threshold(at_least=0.9)}, lacks=lambda *names: ""
        ),
        served_metrics=served,
        exported=SimpleNamespace(weights=weights, checkpoint=checkpoint),
        reference=(SimpleNamespace(evaluate=lambda: measured or {}), "restored"),
    )


@pytest.mark.parametrize("served", [0.5, NAN])
def test_check_served_metric_that_is_bad_fails_whatever_training_recorded(served: float) -> None:
    check = check_thresholds(subject({"accuracy": served}, {"accuracy": 0.99}))
    assert check.status == "failed"
    assert f"accuracy {served:.6g}, served" in check.found


def test_check_served_metric_that_is_good_passes_whatever_training_recorded() -> None:
    check = check_thresholds(subject({"accuracy": 0.95}, {"accuracy": 0.1}))
    assert (check.status, check.found) == ("passed", "accuracy 0.95")


@pytest.mark.parametrize(("value", "status"), [(0.9, "passed"), (0.89999, "failed"), (NAN, "failed")])
def test_check_recorded_metric_decides_if_nothing_is_served(value: float, status: str) -> None:
    check = check_thresholds(subject({}, {"accuracy": value}))
    assert check.status == status
    assert ("of the checkpoint" in check.found) == (status == "failed")


@pytest.mark.parametrize(("value", "status"), [(0.3, "passed"), (0.31, "failed"), (NAN, "failed")])
def test_check_upper_bound_is_kept_up_to_its_value(value: float, status: str) -> None:
    bounds = {"loss": Threshold(at_most=0.3)}
    check = check_thresholds(subject({"loss": value}, {}, bounds))
    assert check.status == status
    assert check.expected == "loss at most 0.3"


def test_check_average_weights_are_judged_by_the_metrics_of_averages() -> None:
    recorded = {"accuracy": 0.99, "average_accuracy": 0.2}
    assert check_thresholds(subject({}, recorded, weights="average")).status == "failed"
    assert check_thresholds(subject({}, recorded)).status == "passed"


def test_check_metric_that_nobody_recorded_is_measured_of_the_checkpoint() -> None:
    check = check_thresholds(subject({}, {}, measured={"accuracy": 0.97}))
    assert (check.status, check.found) == ("passed", "accuracy 0.97")


def test_check_metric_that_nothing_tells_cannot_run_unless_another_one_fails() -> None:
    bounds = {"accuracy": Threshold(at_least=0.9), "recall": Threshold(at_least=0.5)}
    with pytest.raises(CannotRun, match="recall"):
        check_thresholds(subject({"accuracy": 0.95}, {}, bounds))
    assert check_thresholds(subject({"accuracy": 0.5}, {}, bounds)).status == "failed"
