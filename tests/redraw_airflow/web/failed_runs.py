"""Runs that failed, as workers leave them: for the tab that says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from redraw.records import Check, ExportedModel, ValidationReport
from redraw.records.failure import StageFailure
from redraw.records.progress import TrainingProgress, follow_line, measured_line, step_line
from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw_airflow.operators.inputs import run_folder_name
from tests.paths import ROOT
from tests.redraw_airflow.web.publications import EXPORTED, HOSTILE, checkpoint_record, report_record

__all__ = ["REPORT_PAGE", "failed_runs", "training_runs"]

DAG = "retrain_and_export"
REPORT_PAGE = "<!doctype html><p>the whole report</p>"
PICTURE = (ROOT / "docs" / "pictures" / "mnist.graphs.svg").read_text()
LATENCY = (
    '{"schema": 1, "signatures": {"serving_default": [{"rows": 1, "p50_ms": 0.5, "p95_ms": 1.0,'
    ' "p99_ms": 2.0, "rows_per_second": 1000.0, "runs": 64}]}}'
)
FAILED = Check(
    name="metric-thresholds",
    status="failed",
    looked_at="the metrics",
    expected="loss at most -1",
    found="loss 0.25",
    advice="Train longer, or correct the threshold.",
)
NOT_RUN = replace(
    FAILED,
    name="warm-up",
    status="not_run",
    found="not run: no examples",
    advice="Add examples, or waive it.",
)
DEPENDENT = replace(
    NOT_RUN, name="golden-examples", found="not run: it needs the check loads, which did not pass"
)


def failure(error: str, message: str, stage: str = "train", *, retryable: bool = False) -> dict[str, Any]:
    """The XCom that a failed task leaves."""
    left = StageFailure(model="mnist", stage=stage, error=error, message=message, retryable=retryable)
    return {"failure": left.to_json()}


def _task(task_id: str, state: str, xcoms: dict[str, Any], map_index: int = -1) -> dict[str, Any]:
    return {"task_id": task_id, "state": state, "map_index": map_index, "xcoms": xcoms}


def _report(work: Path, run_id: str) -> ValidationReport:
    """A report that did not pass, with its files where the worker would have written them."""
    folder = work / "mnist" / run_folder_name(DAG, run_id)
    folder.mkdir(parents=True)
    files = {
        "report.html": ("validate-try1.html", REPORT_PAGE),
        "graphs.svg": ("validate-try1.graphs.svg", PICTURE),
        "latency.json": ("validate-try1.latency.json", LATENCY),
    }
    for name, text in files.values():
        (folder / name).write_text(text)
    passed = report_record("mnist").checks[0]
    return replace(
        report_record("mnist", passed, FAILED, NOT_RUN, DEPENDENT),
        passed=False,
        attachments={key: f"{folder}/{name}" for key, (name, _) in files.items()},
    )


def failed_runs(work: Path) -> Iterator[dict[str, Any]]:
    """The runs.

    Args:
        work: The work folder, which the server sees too.
    """
    run = {"dag_id": DAG, "state": "failed", "conf": {"model": "mnist", "bucket": "gs://models", "steps": 5}}
    report = _report(work, "invalid")
    left = {"report": report.to_json(), **failure("ValidationFailed", "2 of 4 checks failed", "validate")}
    exported: ExportedModel = replace(EXPORTED, digest=report.digest)
    yield {
        **run,
        "run_id": "invalid",
        "tasks": [
            _task("export", "success", {"return_value": exported.to_json()}),
            _task("validate", "failed", left),
            _task("push", "upstream_failed", {}),
        ],
    }
    secret = work / "mnist" / "secret.txt"
    secret.write_text("a secret")
    elsewhere = {name: str(secret) for name in report.attachments}
    other = replace(report, attachments={**elsewhere, "graphs.json": "/etc/passwd"})
    link = Path(report.attachments["report.html"]).with_name("link.html")
    link.symlink_to(secret)
    linked = replace(report, attachments={"report.html": str(link)})
    yield {**run, "run_id": "elsewhere", "tasks": [_task("validate", "failed", {"report": other.to_json()})]}
    yield {
        **run,
        "run_id": "invalid-too",
        "tasks": [_task("validate", "failed", {"report": report.to_json()})],
    }
    yield {**run, "run_id": "linked", "tasks": [_task("validate", "failed", {"report": linked.to_json()})]}
    message = "mnist.training_data, after step 0: ValueError: no rows. Correct the definition."
    yield {
        **run,
        "run_id": "untrained",
        "tasks": [
            _task("train", "failed", failure("InvalidDefinition", message)),
            _task("checkpoint", "up_for_retry", failure("StorageUnavailable", "gs://a", retryable=True)),
            _task("export", "failed", {}),
            _task("push", "failed", failure(HOSTILE[0], HOSTILE[2])),
        ],
    }
    rows = tuple(
        ReexportedCheckpoint(
            uri=f"gs://checkpoints/mnist/{step}-0123456789ab",
            outcome="failed",
            seconds=1.0,
            step=step,
            trained_at=checkpoint_record("mnist").trained_at,
            reason=f"gs://checkpoints/mnist/{step}-0123456789ab: expected {step} bytes, got 0.",
        )
        for step in range(100, 130)
    )
    summed = ReexportReport(model="mnist", bucket="gs://models", checkpoints=rows, seconds=30.0)
    yield {
        "dag_id": "reexport_checkpoints",
        "state": "failed",
        "run_id": "thirty",
        "tasks": [
            *(
                _task("reexport", "failed", failure("CheckpointsFailed", f"1 of 1: {row.reason}"), number)
                for number, row in enumerate(rows)
            ),
            _task("summary", "failed", {"summary": summed.to_json()}),
        ],
    }


def training_runs() -> Iterator[dict[str, Any]]:
    """A run that trains, one that is about to, and one that has ended."""
    about = TrainingProgress(model="mnist", run="a-run", uri="gs://work/mnist/a-run")
    going = about
    for step in range(100, 600, 100):
        going = follow_line(going, step_line(step, 1000, 20.0, 100 / step))
        going = follow_line(going, measured_line(step, {"loss": 90 / step, HOSTILE[0].replace(" ", ""): 0.5}))
    run = {"dag_id": "of_others", "state": "running"}
    for name, progress, state in (
        ("training", going, "running"),
        ("about-to-train", about, "running"),
        ("trained", going, "success"),
    ):
        yield {**run, "run_id": name, "tasks": [_task("fit", state, {"progress": progress.to_json()})]}
