"""Measure export, validation and push of a recommender that may be larger than memory.

`REDRAW_BENCH_GIGABYTES=20 TMPDIR=/large python -m benchmarks huge`: the disk needs room for the weights three
times, as checkpoint, export and objects. The table is split into parts, because the local storage server has
an uploaded object in memory three times.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Comparison, Run, Series
from benchmarks.workshop import Workshop
from redraw.records import ValidationReport
from redraw.validate.plan import PLAN

__all__ = ["measure_huge"]

_WORKER = Path(__file__).with_name("huge_worker.py")
_GIGABYTES = "REDRAW_BENCH_GIGABYTES"
_ROWS = "REDRAW_RECOMMENDER_ROWS"
_ROW_BYTES = 16 * 4
_PARTS = "REDRAW_RECOMMENDER_PARTS"
_PART_BYTES = 128e6
_FEW_ROWS = "20000"


def measure_huge(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run each stage once, for the sizes in `REDRAW_BENCH_GIGABYTES` (1 by default)."""
    workshop.start_storage()
    return tuple(_measure(workshop, float(size)) for size in os.environ.get(_GIGABYTES, "1").split())


def _measure(workshop: Workshop, gigabytes: float) -> Comparison:
    workshop.say(f"A recommender of {gigabytes:g} GB.")
    place = workshop.folder / f"huge-{gigabytes:g}"
    large = {
        _ROWS: str(round(gigabytes * 1e9 / _ROW_BYTES)),
        _PARTS: str(math.ceil(gigabytes * 1e9 / _PART_BYTES)),
    }
    checkpoint, report = os.fspath(place / "weights"), place / "report.json"
    trained = _train(workshop, place, {**large, _ROWS: _FEW_ROWS})
    workshop.python(os.fspath(_WORKER), trained, checkpoint, variables=large)
    export = ("--saved-model", os.fspath(place / "model"), "--report", os.fspath(report))
    # Checks that can run do run, waived or not.
    waived = (f"{check.name}=there may not be the memory" for check in PLAN)
    waivers = (argument for text in waived for argument in ("--waive", text))
    arguments_of = {
        "export": ("--checkpoint", checkpoint, "--out", os.fspath(place / "model")),
        "validate": (*export, *waivers),
        "push": (*export, "--bucket", f"{workshop.settings.model_bucket}/{place.name}"),
    }
    runs = {stage: _stage(workshop, large, stage, *arguments) for stage, arguments in arguments_of.items()}
    checks = ValidationReport.from_text(report.read_bytes(), os.fspath(report)).checks
    left_out = {f"check {check.name}": check.found for check in checks if check.status == "not_run"}
    shutil.rmtree(place)
    return Comparison(
        title=f"A recommender of {gigabytes:g} GB: each stage, its imports included",
        series=tuple(Series(way=stage, runs=(run,)) for stage, run in runs.items()),
        notes=left_out or {"checks not run": "none"},
    )


def _train(workshop: Workshop, place: Path, few: Mapping[str, str]) -> str:
    """Train a checkpoint with few rows, from which the large one is made."""
    run, catalogue = os.fspath(place / "run"), os.fspath(place / "catalogue")
    _stage(workshop, few, "train", "--out", run)
    selection = _stage(workshop, few, "checkpoint", "--from", run, "--latest", "--catalogue", catalogue)
    record = json.loads(selection.stdout)
    return f"{record['uri']}/{record['prefix']}"


def _stage(workshop: Workshop, variables: Mapping[str, str], stage: str, *arguments: str) -> Run:
    workshop.say(f"  {stage}")
    command = ("-m", "redraw", stage, "--model", "recommender", *arguments)
    return workshop.python(*command, variables=variables)
