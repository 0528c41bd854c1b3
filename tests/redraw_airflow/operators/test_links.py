from __future__ import annotations

from dataclasses import replace

import pytest
from airflow.sdk import BaseOperatorLink

from redraw.records import (
    Checkpoint,
    LedgerSummary,
    LivePointer,
    Provenance,
    Record,
    Release,
    TrainingRun,
    ValidationReport,
)
from redraw.records.results import AnswerComparison
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.links import (
    CheckpointLink,
    ReleaseLink,
    TensorBoardLink,
    VersionLink,
    release_url,
)
from redraw_airflow.operators.training import (
    CheckpointOperator,
    CompareAnswersOperator,
    MarkVersionOperator,
    PushModelOperator,
    RollBackOperator,
    TrainOperator,
)

CHECKPOINT = Checkpoint(
    model="mnist",
    uri="gs://checkpoints/mnist/1",
    prefix="ckpt",
    format="tensor_bundle",
    step=1,
    trained_at="2026-01-01T00:00:00Z",
    digest="0",
    size_bytes=1,
)
RELEASE = Release(
    model="mnist",
    version=2026010100000000,
    uri="gs://models/team a/mnist/2026010100000000",
    digest="0",
    size_bytes=1,
    signatures={},
    checkpoint=CHECKPOINT,
    weights="raw",
    report=ValidationReport(
        model="mnist", digest="0", checks=(), passed=True, validated_at="2026-01-01T00:00:00Z"
    ),
    previous=None,
    pushed_at="2026-01-01T00:00:00Z",
    ledger=LedgerSummary(served=1, dropped={}),
    provenance=Provenance(made_by=None, report_digest="0", asked_by="ada"),
    generations={"saved_model.pb": 1},
)


@pytest.mark.parametrize(
    ("emulator", "expected"),
    [
        (
            None,
            "https://console.cloud.google.com/storage/browser/_details/models/"
            "team%20a/mnist/releases/2026010100000000.json",
        ),
        (
            "http://127.0.0.1:4443/",
            "",
        ),
    ],
)
def test_release_url_leads_to_the_record_where_it_is_kept(
    emulator: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    if emulator:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)

    assert release_url(RELEASE) == expected


PUSH = PushModelOperator(task_id="push", model="mnist", saved_model="/model", report="/report")
ROLL_BACK = RollBackOperator(task_id="roll_back", model="mnist")
MARK = MarkVersionOperator(task_id="mark", model="mnist", version="2026010200000000", mark="pin")
CHECKPOINT_TASK = CheckpointOperator(task_id="checkpoint", model="mnist")
TRAIN = TrainOperator(task_id="train", model="mnist")
COMPARE = CompareAnswersOperator(task_id="compare", model="mnist", version="2026010300000000")
COMPARED = AnswerComparison(
    model="mnist", version=2026010300000000, other=2026010100000000, tolerance=0.0, rows=0
)
POINTER = LivePointer(model="mnist", version=2026010100000000, previous=None)
RUN = TrainingRun(model="mnist", uri="gs://work/mnist/a b", run="manual__1&x", step=1)


def link_of(operator: StageOperator, link: BaseOperatorLink, record: Record | None) -> str:
    """The link as Airflow's worker resolves it once the task has ended."""
    assert type(link) in [type(own) for own in operator.operator_extra_links]
    operator.record = record
    return link.get_link(operator, ti_key=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "record", "version"),
    [
        (PUSH, RELEASE, 2026010100000000),
        (ROLL_BACK, POINTER, 2026010100000000),
        (MARK, POINTER, 2026010200000000),
        (COMPARE, COMPARED, 2026010300000000),
    ],
)
def test_link_to_a_version_opens_its_page_inside_airflow(
    operator: StageOperator, record: Record, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = f"/plugin/models/redraw/models/mnist/{version}"

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:8080")
    assert link_of(operator, VersionLink(), record) == expected
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.org/team/airflow/")
    assert link_of(operator, VersionLink(), record) == f"/team/airflow{expected}"


def test_link_to_a_checkpoint_leads_to_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    console = "https://console.cloud.google.com/storage/browser/checkpoints/mnist/1"
    assert link_of(CHECKPOINT_TASK, CheckpointLink(), CHECKPOINT) == console

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443")
    assert link_of(CHECKPOINT_TASK, CheckpointLink(), CHECKPOINT) == ""
    in_a_folder = replace(CHECKPOINT, uri="/catalogue/mnist/1")
    assert link_of(CHECKPOINT_TASK, CheckpointLink(), in_a_folder) == ""


def test_link_to_tensorboard_is_filled_in_where_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDRAW_TENSORBOARD", raising=False)
    assert link_of(TRAIN, TensorBoardLink(), RUN) == ""

    monkeypatch.setenv("REDRAW_TENSORBOARD", "https://board.example/{model}?regexInput={run}#timeseries")
    expected = "https://board.example/mnist?regexInput=manual__1%26x#timeseries"
    assert link_of(TRAIN, TensorBoardLink(), RUN) == expected


@pytest.mark.parametrize(
    ("operator", "link"),
    [
        (PUSH, VersionLink()),
        (PUSH, ReleaseLink()),
        (ROLL_BACK, VersionLink()),
        (CHECKPOINT_TASK, CheckpointLink()),
        (TRAIN, TensorBoardLink()),
    ],
)
def test_link_of_a_task_without_a_record_leads_nowhere(
    operator: StageOperator, link: BaseOperatorLink
) -> None:
    assert link_of(operator, link, None) == ""
