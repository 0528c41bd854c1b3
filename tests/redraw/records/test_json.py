"""JSON that every other reader takes: without Python's words for what is no number."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from redraw.records import Checkpoint, TrainingRun, finite_metrics, format_metrics
from redraw.runs.folder import RunFolder
from tests.paths import ROOT

SOURCES = sorted([*ROOT.glob("tasks/redraw/**/*.py"), *ROOT.glob("plugins/**/*.py")])
ODD = {"loss": 0.5, "perplexity": float("inf"), "margin": float("-inf"), "auc": float("nan")}
KEPT = {"loss": 0.5, "perplexity": None, "margin": None, "auc": None}


def strict(text: str | bytes) -> Any:
    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_every_json_that_is_written_refuses_what_is_no_number() -> None:
    calls = [
        (path.relative_to(ROOT), call.lineno, {word.arg for word in call.keywords})
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("json.dumps", "json.dump")
    ]
    assert len(calls) > 15
    # An upload's metadata holds only texts, and a configuration's text is compared and not written.
    lax = {path.name for path, _, words in calls if "allow_nan" not in words}
    assert lax <= {"gcs_upload.py", "configuration.py"}


@pytest.mark.parametrize("kind", [Checkpoint, TrainingRun])
def test_record_metric_that_is_no_number_is_null(kind: type[Checkpoint | TrainingRun]) -> None:
    more: dict[str, Any] = {"run": "r"}
    if kind is Checkpoint:
        more |= {"prefix": "weights", "format": "tensor_bundle", "trained_at": "2024-05-06T07:08:09Z"}
        more |= {"digest": "ab" * 32, "size_bytes": 3}
    record = kind(model="line", uri="/run", step=3, metrics=ODD, **more)  # type: ignore[arg-type]
    assert record.metrics == KEPT
    assert strict(record.to_bytes())["metrics"] == KEPT
    assert kind.from_json(strict(record.to_bytes())) == record
    # What was written before has Python's own words.
    old = record.to_json() | {"metrics": ODD}
    assert kind.from_text(json.dumps(old), "old") == record


def test_evaluations_of_a_run_that_wrote_nan_are_null(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    line = {"step": 1, "time": "2024-05-06T07:08:09Z", "metrics": ODD}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    folder.add_evaluation(2, ODD)
    assert [found.metrics for found in folder.evaluations().values()] == [KEPT, KEPT]
    strict((tmp_path / "metrics.jsonl").read_text().splitlines()[1])


def test_format_metrics_says_which_is_no_number() -> None:
    assert format_metrics(finite_metrics(ODD)) == (
        "loss 0.5, perplexity not a number, margin not a number, auc not a number"
    )
