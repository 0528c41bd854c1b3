"""Measure the adoption of many small checkpoints: time for each, and memory, at 1,000 and at 10,000.

Each run is a process of its own, start and imports included, into a catalogue that is empty;
the files stay where they are. `REDRAW_BENCH_CHECKPOINTS="1000 10000"` sets the numbers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import MODEL, Workshop
from redraw.checkpoint.bundle.writer import BundleWriter

__all__ = ["measure_adopt"]

_NUMBERS = "REDRAW_BENCH_CHECKPOINTS"
_MOST_TURNS = 3
# Only of the smaller number: a server on the same cores is what is measured there.
_UPLOAD = """
import sys; from pathlib import Path
from redraw.storage.files import scan_tree; from redraw.storage.opening import open_storage, upload_tree
upload_tree(open_storage(sys.argv[2]), "runs", scan_tree(Path(sys.argv[1])).files)
"""


def measure_adopt(workshop: Workshop) -> tuple[Comparison, ...]:
    """Adopt in place: from folders of ten, from one folder with all, and from a bucket."""
    folder = workshop.folder / "adopt"
    numbers = [int(number) for number in os.environ.get(_NUMBERS, "1000 10000").split()]
    ways: dict[str, Callable[[], Run]] = {}
    workshop.say(f"Writing {max(numbers):,} checkpoints.")
    _write(folder / "written", max(numbers))
    for number in numbers:
        for layout, of_each in (("folders of ten", 10), ("one folder", number)):
            runs = folder / f"{number}-{of_each}"
            _link(folder / "written", runs, number, of_each)
            ways[f"{number:,} in {layout}"] = _adopting(workshop, str(runs), str(folder / "catalogue"))
    workshop.start_storage()
    bucket = f"{workshop.settings.checkpoint_bucket}/adopt"
    workshop.python("-c", _UPLOAD, os.fspath(folder / f"{numbers[0]}-10"), bucket)
    ways[f"{numbers[0]:,} in a bucket"] = _adopting(workshop, f"{bucket}/runs", str(folder / "catalogue"))
    series = take_turns(ways, min(workshop.turns, _MOST_TURNS), warm_up=False)
    notes = {
        f"{one.way}: for each": f"{1e3 * one.seconds / int(one.way.split()[0].replace(',', '')):.2f} ms"
        for one in series
    }
    shutil.rmtree(folder)
    return (Comparison(title="Adopting small checkpoints in place", series=series, notes=notes),)


def _write(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    for step in range(number):
        with BundleWriter(folder / f"model.ckpt-{step}") as writer:
            writer.add_array("global_step", np.int64(step))
            writer.add_array("w", np.full(64, step, np.float32))


def _link(written: Path, folder: Path, number: int, of_each: int) -> None:
    """Arrange the first of them in folders, as links: writing them takes longer than all else."""
    for step in range(number):
        run = folder / f"run-{step // of_each:05d}"
        run.mkdir(parents=True, exist_ok=True)
        for suffix in (".index", ".data-00000-of-00001"):
            os.link(written / f"model.ckpt-{step}{suffix}", run / f"model.ckpt-{step}{suffix}")


def _adopting(workshop: Workshop, source: str, catalogue: str) -> Callable[[], Run]:
    def adopt() -> Run:
        shutil.rmtree(catalogue, ignore_errors=True)
        where = ("--from", source, "--catalogue", catalogue)
        return workshop.stage("adopt", "--model", MODEL, *where, "--recursive", "--in-place")

    return adopt
