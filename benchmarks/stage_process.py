"""Measure what an operator adds to a stage, versus a shell."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import MODEL, ROOT, Workshop
from redraw_airflow.standalone.settings import airflow_environment

__all__ = ["measure_stage_process"]

_PROGRAM = ROOT / "tests" / "bench" / "run_stage.py"
_LIMIT = 0.3


def measure_stage_process(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run two small commands: one without a bucket, and one that needs credentials."""
    example = workshop.example
    checkpoint = f"{example.records['train']['uri']}/checkpoints/ckpt-{example.records['train']['step']}"
    bucket = f"{workshop.settings.model_bucket}/example"
    return (
        _compare(workshop, "inspect", {"uri": checkpoint}),
        _compare(workshop, "releases", {"model": MODEL, "bucket": bucket}),
    )


def _compare(workshop: Workshop, stage: str, request: Mapping[str, str]) -> Comparison:
    request_text = json.dumps(request).encode()
    airflow = airflow_environment(workshop.settings)

    def bare() -> Run:
        return workshop.python("-m", "redraw", stage, "--request", "-", stdin=request_text)

    def operated() -> Run:
        # No peak: it would include Airflow, in whose process the operator runs.
        run = workshop.python(os.fspath(_PROGRAM), stage, stdin=request_text, variables=airflow)
        return Run(seconds=json.loads(run.stdout)["seconds"])

    series = take_turns({f"python -m redraw {stage}": bare, "StageProcess": operated}, workshop.turns)
    title = f"Stage process: {stage}, by a shell and by an operator"
    return Comparison(title=title, series=series, notes={"to be added at most": f"{_LIMIT} s"})
