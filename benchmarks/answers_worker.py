"""The measured process: `python answers_worker.py WAY FOLDER ROWS`; it prints figures as JSON.

`prepare` trains, exports and publishes two versions, and writes the messages; the other ways send them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from redraw.inspect.answers.compare import compare_answers
from redraw.requests import CompareAnswersRequest

_MODEL, _STEPS, _BATCH = "text_classifier", (100, 200), 4096
_BUCKET = os.environ["REDRAW_BENCH_BUCKET"] + "/answers"


def _messages(rows: int) -> list[str]:
    """The classifier's own messages, repeated with different numbers."""
    from redraw.models import text_classifier

    data = Path(text_classifier.__file__).with_name("data") / "support_requests.tsv"
    texts = [line.split("\t")[1] for line in data.read_text(encoding="utf-8").splitlines()]
    return [f"{texts[row % len(texts)]} {row}" for row in range(rows)]


def prepare(folder: Path, rows: int) -> dict[str, Any]:
    """Publish both versions, with reports that say that they passed."""
    from redraw.checkpoint.select import select_checkpoint
    from redraw.export.export import export_model
    from redraw.publish.push.push import push_model
    from redraw.records import ValidationReport
    from redraw.requests import CheckpointRequest, ExportRequest, PushRequest, TrainRequest
    from redraw.train.train import train_model

    versions = []
    for steps in _STEPS:
        run = train_model(TrainRequest(model=_MODEL, out=str(folder / f"run-{steps}"), max_steps=steps))
        catalogue = str(folder / "catalogue")
        choice = CheckpointRequest(model=_MODEL, source=run, catalogue=catalogue, latest=True)
        checkpoint, out = select_checkpoint(choice), str(folder / f"export-{steps}")
        exported = export_model(ExportRequest(model=_MODEL, checkpoint=checkpoint, out=out))
        report = ValidationReport(
            model=_MODEL, digest=exported.digest, checks=(), passed=True, validated_at="2026-01-01T00:00:00Z"
        )
        push = PushRequest(model=_MODEL, saved_model=exported, report=report, bucket=_BUCKET)
        versions.append(push_model(push).version)
    (folder / "versions.json").write_text(json.dumps(versions))
    for count in (rows, rows // 10):
        with (folder / f"{count}.jsonl").open("w") as file:
            file.writelines(json.dumps({"instances": [text]}) + "\n" for text in _messages(count))
    return {}


def bare(folder: Path, rows: int) -> dict[str, Any]:
    """Send both versions the requests from memory through the C API, one after the other."""
    from redraw.serving.session import ModelSession

    sessions = [ModelSession(str(folder / f"export-{steps}"), ("serve",)) for steps in _STEPS]
    texts = np.array([text.encode() for text in _messages(rows)], dtype=object)
    batches = np.split(texts, range(_BATCH, rows, _BATCH))
    for session in sessions:
        session.answer("serving_default", {"text": batches[0]})
    start = time.perf_counter()
    for batch in batches:
        for session in sessions:
            session.answer("serving_default", {"text": batch})
    return {"seconds": time.perf_counter() - start}


def compare(folder: Path, rows: int) -> dict[str, Any]:
    """Run the command on the file of messages."""
    other, version = json.loads((folder / "versions.json").read_text())
    comparison = compare_answers(
        CompareAnswersRequest(
            model=_MODEL,
            bucket=_BUCKET,
            version=version,
            other=other,
            requests=(str(folder / f"{rows}.jsonl"),),
        )
    )
    if comparison.rows != rows:
        raise SystemExit(f"expected {rows} rows, got {comparison.rows}: {comparison.left_out}")
    return {"seconds": comparison.seconds}


_WAYS = {"prepare": prepare, "bare": bare, "compare-answers": compare}


def main() -> None:
    """Run one way and print its figures."""
    figures = _WAYS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    sys.stdout.write(json.dumps({"peak_bytes": peak, **figures}) + "\n")


if __name__ == "__main__":
    main()
