"""Measure a batch of checkpoints in one process, versus an export, a validation and a push for each.

All checkpoints have MNIST's size and different weights, and are in a local catalogue. The bucket is on the
local storage server. Only a few of the separate runs are measured and extrapolated.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.harness import Comparison, Run, Series
from benchmarks.workshop import MODEL, Workshop
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.catalogue.store import add_checkpoint, folder_name
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.records import Checkpoint
from redraw.records.reexport import ReexportReport

__all__ = ["FIRST_DAY", "Batches", "measure_backfill", "run_batches", "vary_checkpoints"]

# The day of the first checkpoint; each other one is a day later.
FIRST_DAY = np.datetime64("2025-01-01")

_CHECKPOINTS = 100
_FEW = 10
_SEPARATE = 5


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Two batches of the same checkpoints.

    Attributes:
        records: All checkpoints.
        few: The run of a batch of the first few.
        many: The run of a batch of all.
        report: The report of the batch of all.
    """

    records: list[Checkpoint]
    few: Run
    many: Run
    report: ReexportReport

    @property
    def further(self) -> Run:
        """The cost of each further checkpoint, from the difference of the two batches."""
        more = _CHECKPOINTS - _FEW
        cpu = (self.many.cpu_seconds or 0) - (self.few.cpu_seconds or 0)
        return Run(seconds=(self.many.seconds - self.few.seconds) / more, cpu_seconds=cpu / more)


def measure_backfill(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run a batch of 100, one of 10, the batch of 100 again, and 5 checkpoints by separate stages."""
    batches = run_batches(workshop)
    few, many, records = batches.few, batches.many, batches.records
    again, skipped = _batch(workshop, records, "many")
    separate = [_separately(workshop, record) for record in records[:_SEPARATE]]
    each = median(run.seconds for run in separate)
    # The times of rows overlap, because one is published while the next is prepared.
    rest = batches.report.seconds - batches.report.checkpoints[0].seconds
    ways = (
        Series(
            way=f"separate runs, {_SEPARATE} scaled to {_CHECKPOINTS}",
            runs=(Run(seconds=each * _CHECKPOINTS),),
        ),
        Series(way=f"one batch of {_CHECKPOINTS}", runs=(many,)),
        Series(way=f"one batch of {_FEW}", runs=(few,)),
        Series(way=f"the batch of {_CHECKPOINTS}, published already", runs=(again,)),
    )
    more_bytes = (many.peak_bytes or 0) - (few.peak_bytes or 0)
    notes = {
        "separate runs / one batch": f"{each * _CHECKPOINTS / many.seconds:.1f}",
        "each separate run": f"{each:.1f} s",
        "each further checkpoint of the batch": f"{rest / (_CHECKPOINTS - 1):.3f} s",
        "start and first checkpoint": f"{many.seconds - rest:.1f} s",
        "each that is published already": f"{median(r.seconds for r in skipped.checkpoints[1:]):.3f} s",
        f"memory of {_CHECKPOINTS} beyond that of {_FEW}": f"{more_bytes / 1e6:+.0f} MB",
    }
    return (
        Comparison(
            title=f"{_CHECKPOINTS} checkpoints of {MODEL} exported again, validated and published",
            series=ways,
            notes=notes,
        ),
    )


@functools.cache
def run_batches(workshop: Workshop) -> Batches:
    """Export few and many checkpoints again, each in one process; once for each workshop."""
    records = vary_checkpoints(workshop, os.fspath(workshop.folder / "catalogue"), _CHECKPOINTS)
    few, _ = _batch(workshop, records[:_FEW], "few")
    many, report = _batch(workshop, records, "many")
    return Batches(records=records, few=few, many=many, report=report)


def vary_checkpoints(workshop: Workshop, catalogue: str, count: int) -> list[Checkpoint]:
    """Put checkpoints into a catalogue, one for each day, that give nearly the example's answers."""
    workshop.say(f"Writing {count} checkpoints.")
    trained = Checkpoint.from_json(workshop.example.records["checkpoint"])
    run = workshop.example.records["train"]["uri"]
    source = open_checkpoint(f"{run}/checkpoints/ckpt-{trained.step}")
    values = {key: source.read_array(key) for key in source.entries}
    records = []
    for number in range(count):
        folder = workshop.folder / "varied"
        with BundleWriter(folder / "weights") as writer:
            for key, value in values.items():
                writer.add_array(key, value + np.float32(1e-6 * number) if _is_bias(value) else value)
        digest = open_checkpoint(folder / "weights").digest()
        step = trained.step + number
        record = replace(
            trained,
            uri=f"{catalogue}/{MODEL}/{folder_name(step, digest)}",
            step=step,
            trained_at=f"{FIRST_DAY + number}T12:00:00Z",
            digest=digest,
        )
        records.append(add_checkpoint(catalogue, record, {path.name: path for path in folder.iterdir()}))
        shutil.rmtree(folder)
    return records


def _is_bias(value: np.ndarray) -> bool:
    return value.dtype == np.float32 and value.ndim == 1


def _batch(workshop: Workshop, records: list[Checkpoint], name: str) -> tuple[Run, ReexportReport]:
    workshop.say(f"A batch of {len(records)}.")
    request = workshop.folder / "request.json"
    fields = {
        "model": MODEL,
        "checkpoints": [record.to_json() for record in records],
        "bucket": f"{workshop.settings.model_bucket}/{name}",
        "out": os.fspath(workshop.folder / "batch"),
    }
    request.write_text(json.dumps(fields))
    run = workshop.stage("reexport", "--request", os.fspath(request))
    return run, ReexportReport.from_json(json.loads(run.stdout))


def _separately(workshop: Workshop, record: Checkpoint) -> Run:
    workshop.say(f"Step {record.step} by separate stages.")
    out: Path = workshop.folder / f"separate-{record.step}"
    report = Path(f"{out}.report.json")
    runs = [
        workshop.stage("export", "--model", MODEL, "--checkpoint", record.uri, "--out", os.fspath(out)),
        workshop.stage(
            "validate", "--model", MODEL, "--saved-model", os.fspath(out), "--report", os.fspath(report)
        ),
        workshop.stage("push", "--model", MODEL, *workshop.push_arguments(out, report, "separate")),
    ]
    return Run(seconds=sum(run.seconds for run in runs))
