"""Count the bytes that each stage moves from and to a bucket, versus the least possible.

The stages run on separate folders, with the work folder in a bucket behind a counting proxy. The least is
what has to cross the network if a worker's memory and disk are empty: the served bytes once, or the whole
checkpoint if it is put into the catalogue. Copies within the bucket's own service need less.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import Comparison, Run, Series
from benchmarks.workshop import Workshop
from redraw.storage.opening import open_storage
from tests.distributed.fleet import Fleet
from tests.publishing.proxy import run_proxy

__all__ = ["measure_bytes_moved"]

_MODEL = "recommender"
_ROWS = {"REDRAW_RECOMMENDER_ROWS": "500000"}  # 32 MB served, 96 MB with Adam's slots


@dataclass(frozen=True, kw_only=True)
class _Least:
    """The fewest bytes that a stage can move, and why."""

    fetched: int
    sent: int
    why: str


def measure_bytes_moved(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run the five stages, once."""
    workshop.start_storage()
    # This process uses the storage server, too.
    os.environ["STORAGE_EMULATOR_HOST"] = workshop.settings.gcs_url
    with run_proxy(workshop.settings.gcs_url) as proxy:
        fleet = Fleet(workshop.folder / "fleet", proxy, _MODEL, _ROWS)
        stages = _Stages(workshop, fleet)
        least = stages.run()
    series = tuple(Series(way=stage, runs=(run,)) for stage, run in stages.runs.items())
    notes = {stage: _note(fleet.moved[stage], least[stage]) for stage in stages.runs}
    title = f"Five stages of {_MODEL}, {stages.served / 1e6:.1f} MB served, that share a bucket and no disk"
    return (Comparison(title=title, series=series, notes=notes),)


class _Stages:
    """The five stages, each with separate folders."""

    def __init__(self, workshop: Workshop, fleet: Fleet) -> None:
        self._say, self._fleet = workshop.say, fleet
        self._bucket, self._checkpoints = workshop.settings.model_bucket, workshop.settings.checkpoint_bucket
        self.runs: dict[str, Run] = {}
        self.served = 0

    def run(self) -> Mapping[str, _Least]:
        """Run them, and return the fewest bytes that each could have moved."""
        work, bucket = f"{self._checkpoints}/bytes", f"{self._bucket}/bytes"
        trained = self._stage("train", may_delete=True, out=f"{work}/train")
        saved = _size(f"{work}/train", "checkpoints/")
        request = {"from": trained, "catalogue": f"{work}/catalogue", "latest": True}
        checkpoint = self._stage("checkpoint", **request)
        export = self._stage("export", checkpoint=checkpoint, out=f"{work}/export")
        report = self._stage("validate", saved_model=export, report=f"{work}/report.json", against=bucket)
        request = {"saved_model": export, "report": report, "bucket": bucket, "make_live": True}
        self._stage("push", may_delete=True, **request)
        stored, self.served = checkpoint["size_bytes"], export["size_bytes"]
        weights = _size(export["uri"], "variables/variables.data")
        return {
            "train": _Least(fetched=0, sent=saved, why="each checkpoint that it keeps"),
            "checkpoint": _Least(fetched=stored, sent=stored, why="the checkpoint, into the catalogue"),
            "export": _Least(fetched=weights, sent=self.served, why="the served weights; the export"),
            "validate": _Least(
                fetched=self.served + weights, sent=0, why="the export, and what the checkpoint has of it"
            ),
            "push": _Least(
                fetched=0, sent=0, why="nothing: the service copies the export from bucket to bucket"
            ),
        }

    def _stage(self, stage: str, may_delete: bool = False, **request: Any) -> dict[str, Any]:
        self._say(f"  {stage}")
        start = time.perf_counter()
        record = self._fleet.run(stage, may_delete=may_delete, **request)
        self.runs[stage] = Run(seconds=time.perf_counter() - start)
        return record


def _size(uri: str, prefix: str) -> int:
    return sum(item.size for item in open_storage(uri).list(prefix))


def _note(moved: tuple[int, int], least: _Least) -> str:
    pairs = zip(("fetched", "sent"), moved, (least.fetched, least.sent), strict=True)
    return "; ".join([*(_ratio(*pair) for pair in pairs), f"least: {least.why}"])


def _ratio(direction: str, moved: int, least: int) -> str:
    ratio = f", {moved / least:.3f} of the least" if least else ""
    return f"{direction} {moved / 1e6:.2f} MB{ratio}"
