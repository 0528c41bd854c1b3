"""An export next to the version that is live: a real one, in a real bucket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.select import select_checkpoint
from redraw.definition import ModelDefinition, Threshold
from redraw.definition.registry import load_definition
from redraw.errors import InvalidDefinition, ValidationFailed
from redraw.export.export import export_model
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.records import Check, ExportedModel, ValidationReport
from redraw.records.attachments import read_measured
from redraw.records.results import AnswerComparison
from redraw.records.times import format_time
from redraw.requests import (
    CheckpointRequest,
    ExportRequest,
    LiveRequest,
    PushRequest,
    TrainRequest,
    ValidateRequest,
)
from redraw.storage.opening import read_uri
from redraw.train.train import train_model
from redraw.validate.checks.answers.metrics import check_live_metrics, measure_regression
from redraw.validate.validator import Validator


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as one:
        yield one


@pytest.fixture(scope="module")
def early_export(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """What a training serves that has only begun: nobody's luck makes it as good as the whole one."""
    folder = tmp_path_factory.mktemp("early")
    run = train_model(TrainRequest(model="mnist", out=str(folder / "run"), max_steps=20))
    checkpoint = select_checkpoint(
        CheckpointRequest(model="mnist", source=run, catalogue=str(folder / "cat"), latest=True)
    )
    return export_model(ExportRequest(model="mnist", checkpoint=checkpoint, out=str(folder / "model")))


@pytest.fixture(scope="module")
def validated(
    mnist_export: ExportedModel, validator: Validator, tmp_path_factory: pytest.TempPathFactory
) -> ValidationReport:
    """The report of the fully trained model."""
    return examine(validator, mnist_export, tmp_path_factory.mktemp("report") / "live.json")


@pytest.fixture
def live_bucket(mnist_export: ExportedModel, validated: ValidationReport, bucket: str) -> str:
    """A bucket in which the fully trained model is live."""
    push_model(
        PushRequest(model="mnist", saved_model=mnist_export, report=validated, bucket=bucket, make_live=True)
    )
    return bucket


def mnist() -> type[ModelDefinition]:
    """The definition's class as it is loaded now: other tests load modules of models again."""
    return type(load_definition("mnist"))


def examine(validator: Validator, exported: ExportedModel, report: Path, **more: Any) -> ValidationReport:
    request = ValidateRequest(model="mnist", saved_model=exported, report=str(report), **more)
    try:
        return validator.validate(request)
    except ValidationFailed:
        return ValidationReport.from_text(report.read_bytes(), "report")


def live_metrics(report: ValidationReport) -> Check:
    return next(check for check in report.checks if check.name == "live-metrics")


def live_answers(report: ValidationReport) -> Check:
    return next(check for check in report.checks if check.name == "live-answers")


def passing(report: ValidationReport) -> ValidationReport:
    """The same, though it misses the definition's thresholds, which are not what is asked about here."""
    checks = tuple(replace(check, status="passed") for check in report.checks)
    return replace(report, passed=True, checks=checks)


def test_validate_worse_than_live_fails_by_the_metric(
    early_export: ExportedModel,
    live_bucket: str,
    validator: Validator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = examine(validator, early_export, tmp_path / "r.json", against=live_bucket)
    assert live_metrics(report).status == "passed"  # no bound was declared
    assert "accuracy" in live_metrics(report).found
    assert "worse by" in live_metrics(report).found
    assert str(report.against) in live_metrics(report).looked_at
    # It may be published, but does not take the place of what answers better.
    measured = read_measured(Path(str(report.attachments["metrics.json"])).read_bytes())
    assert measured.metrics[0].name == "accuracy"
    assert f"of live version {report.against} on the same requests" in measured.worse
    assert measured.worse in live_metrics(report).found
    early = replace(
        early_export, checkpoint=replace(early_export.checkpoint, trained_at=format_time(time.time()))
    )
    pushed = push_model(
        PushRequest(
            model="mnist", saved_model=early, report=passing(report), bucket=live_bucket, make_live=True
        )
    )
    assert pushed.attachments["metrics.json"].size > 0
    assert change_live(LiveRequest(model="mnist", bucket=live_bucket)).version == report.against

    monkeypatch.setattr(mnist(), "max_regression", {"accuracy": 0.0})
    check = live_metrics(examine(validator, early_export, tmp_path / "r.json", against=live_bucket))
    assert check.status == "failed"
    assert "worse by" in check.found
    assert "more than 0" in check.found

    monkeypatch.setattr(mnist(), "max_regression", {"accuracy": 0.9})
    report = examine(validator, early_export, tmp_path / "r.json", against=live_bucket)
    assert live_metrics(report).status == "passed"
    assert read_measured(Path(str(report.attachments["metrics.json"])).read_bytes()).worse == ""


def test_validate_equal_to_live_passes_without_any_regression_allowed(
    mnist_export: ExportedModel,
    live_bucket: str,
    validator: Validator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mnist(), "max_regression", {"accuracy": 0.0})
    check = live_metrics(examine(validator, mnist_export, tmp_path / "r.json", against=live_bucket))
    assert check.status == "passed"
    assert "accuracy" in check.found
    assert "equal" in check.found


def test_validate_regression_of_a_metric_nobody_measures_is_not_run_unless_waived(
    mnist_export: ExportedModel,
    live_bucket: str,
    validator: Validator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mnist(), "max_regression", {"recall": 0.0})
    report = examine(validator, mnist_export, tmp_path / "r.json", against=live_bucket)
    assert not report.passed
    assert live_metrics(report).status == "not_run"
    assert "do not measure recall" in live_metrics(report).found
    waived = validator.validate(
        ValidateRequest(
            model="mnist",
            saved_model=mnist_export,
            report=str(tmp_path / "r.json"),
            against=live_bucket,
            waive=("live-metrics=measured by hand",),
        )
    )
    assert waived.passed
    assert waived.waivers == {"live-metrics": "measured by hand"}
    assert live_metrics(waived).waived == "measured by hand"


def test_validate_changed_answers_are_counted_against_max_changed_and_drawn(
    early_export: ExportedModel,
    live_bucket: str,
    validator: Validator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "r.json"
    report = examine(validator, early_export, path, against=live_bucket)
    answers = AnswerComparison.from_text(
        read_uri(report.attachments["answers.json"], 1 << 20) or b"", "answers"
    )
    assert (answers.version, answers.other) == (None, report.against)
    assert {source.name for source in answers.sources} == {"golden", "held-out"}
    digits = [output for output in answers.outputs if output.output == "digit"]
    digit = max(digits, key=lambda output: output.share)
    counted = f"{digit.changed} of {digit.rows} rows changed"
    assert digit.changed == sum(cell.rows for cell in digit.classes if cell.here != cell.other) > 0
    check = live_answers(report)
    assert (check.status, check.expected) == ("passed", "no limits declared (max_changed)")
    assert f"digit of {digit.signature!r}: {counted}" in check.found
    page = path.with_suffix(".html").read_text()
    assert f"Answers next to those of live version {report.against}" in page
    assert counted in page

    monkeypatch.setattr(mnist(), "max_changed", {"digit": (digit.changed - 1) / digit.rows})
    failed = live_answers(examine(validator, early_export, path, against=live_bucket))
    assert failed.status == "failed"
    assert "more than" in failed.found
    waived = examine(validator, early_export, path, against=live_bucket, waive=("live-answers=wanted",))
    assert live_answers(waived).admits
    monkeypatch.setattr(mnist(), "max_changed", {"digit": digit.share})
    assert live_answers(examine(validator, early_export, path, against=live_bucket)).status == "passed"
    alone = live_answers(examine(validator, early_export, path))
    assert (alone.status, alone.waived) == ("not_run", "there is no live version to compare with")


@pytest.mark.parametrize(
    ("name", "most"), [("digits", 0.1), ("digit", 1.5), ("digit", -0.1), ("digit", float("nan"))]
)
def test_check_definition_with_a_limit_for_nothing_is_refused(
    name: str, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist(), "max_changed", {name: most})
    with pytest.raises(InvalidDefinition, match="max_changed: expected an output .digit, prob.* a fraction"):
        mnist()().check()


@pytest.mark.parametrize(
    ("served", "live", "most", "status", "found"),
    [
        (float("nan"), 0.9, 0.5, "failed", "accuracy nan (0.9 live): worse by nan, more than 0.5"),
        (float("nan"), float("nan"), 0.5, "failed", "worse by nan"),
        (0.8, 0.9, 0.05, "failed", "accuracy 0.8 (0.9 live): worse by 0.1, more than 0.05"),
        (0.75, 1.0, 0.25, "passed", "accuracy 0.75, worse by 0.25 (1 live)"),
        (0.95, 0.9, 0.0, "passed", "accuracy 0.95, better by 0.05 (0.9 live)"),
    ],
)
def test_check_live_metrics_allows_what_is_worse_by_no_more_than_was_declared(
    served: float, live: float, most: float, status: str, found: str
) -> None:
    definition = SimpleNamespace(max_regression={"accuracy": most}, thresholds={})
    release = SimpleNamespace(release=SimpleNamespace(version=2))
    subject: Any = SimpleNamespace(
        definition=definition,
        live=release,
        served_metrics={"accuracy": served},
        live_metrics={"accuracy": live},
        allow_breaking="",
        attachments={},
        metrics_of_draw=lambda random: ({"accuracy": served}, {"accuracy": live}),
    )
    check = check_live_metrics(subject)
    assert check.status == status
    assert found in check.found


@pytest.mark.parametrize(
    ("name", "threshold", "status"),
    [
        ("loss", None, "failed"),
        ("squared_error", None, "failed"),
        ("accuracy", None, "passed"),
        ("latency", Threshold(at_most=9.0), "failed"),
        ("latency", Threshold(at_least=0.0, at_most=9.0), "passed"),
        ("loss", Threshold(at_least=0.0), "passed"),
    ],
)
def test_check_live_metrics_takes_a_higher_value_for_worse_only_of_what_should_be_low(
    name: str, threshold: Threshold | None, status: str
) -> None:
    thresholds = {} if threshold is None else {name: threshold}
    definition = SimpleNamespace(max_regression={name: 0.1}, thresholds=thresholds)
    live = SimpleNamespace(release=SimpleNamespace(version=2))
    subject: Any = SimpleNamespace(
        definition=definition,
        live=live,
        served_metrics={name: 1.0},
        live_metrics={name: 0.5},
        attachments={},
        metrics_of_draw=lambda random: ({name: 1.0}, {name: 0.5}),
    )
    assert check_live_metrics(subject).status == status


def test_validate_checkpoint_without_metrics_is_measured_here(
    mnist_export: ExportedModel, validator: Validator, tmp_path: Path
) -> None:
    bare = replace(mnist_export, checkpoint=replace(mnist_export.checkpoint, metrics={}))
    report = examine(validator, bare, tmp_path / "r.json")
    check = next(check for check in report.checks if check.name == "metric-thresholds")
    assert check.status == "passed"
    measured = float(check.found.rpartition("loss ")[2])
    assert measured == pytest.approx(mnist_export.checkpoint.metrics["average_loss"], rel=1e-4)


def of_rows(here: list[float], live: list[float], **bounds: float) -> str:
    """Why a version is held back, by whether each of its answers is right, and each of the live one's."""
    definition = SimpleNamespace(max_regression=bounds, thresholds={"accuracy": Threshold(at_least=0.1)})

    def draw(random: Any) -> tuple[dict[str, float], dict[str, float]]:
        rows = random.integers(0, len(here), len(here))
        return tuple({"accuracy": float(np.mean(np.asarray(part)[rows]))} for part in (here, live))

    subject: Any = SimpleNamespace(
        definition=definition, served_metrics={"accuracy": float(np.mean(here))}, metrics_of_draw=draw
    )
    return measure_regression(subject, 7, {"accuracy": float(np.mean(live))}).worse


def test_measure_regression_holds_back_only_what_is_worse_beyond_chance() -> None:
    good, slightly, clearly = [1.0] * 200, [1.0] * 198 + [0.0] * 2, [1.0] * 180 + [0.0] * 20

    assert of_rows(good, good) == of_rows(good, clearly) == ""
    assert of_rows(slightly, good) == ""
    assert "accuracy 0.9 is worse than 1 of live version 7 on the same requests, by 0.1 ± 0.0" in of_rows(
        clearly, good
    )
    # What the definition allows decides in its place.
    assert of_rows(clearly, good, accuracy=0.5) == ""
