"""Measure the adoption of many small checkpoints: time for each, and memory, at 1,000 and at 10,000.

Each run is a process of its own, with start and imports, and adopts into an empty catalogue. The files stay
in place. `REDRAW_BENCH_CHECKPOINTS="1000 10000"` sets the numbers.
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
# Only for the smaller number, because the server on the same cores dominates the time.
_UPLOAD = """
import sys; from pathlib import Path
from redraw.storage.files import scan_tree; from redraw.storage.opening import open_storage, upload_tree
upload_tree(open_storage(sys.argv[2]), "runs", scan_tree(Path(sys.argv[1])).files)
"""


def measure_adopt(workshop: Workshop) -> tuple[Comparison, ...]:
    """Adopt in place from folders of ten, from a single folder, and from a bucket."""
    folder = workshop.folder / "adopt"
    numbers = [int(number) for number in os.environ.get(_NUMBERS, "1000 10000").split()]
    ways: dict[str, Callable[[], Run]] = {}
    workshop.say(f"Writing {max(numbers):,} checkpoints.")
    _write(folder / "written", max(numbers))
    for number in numbers:
        for layout, per_folder in (("folders of ten", 10), ("one folder", number)):
            runs = folder / f"{number}-{per_folder}"
            _link(folder / "written", runs, number, per_folder)
            ways[f"{number:,} in {layout}"] = _adopting(workshop, str(runs), str(folder / "catalogue"))
    workshop.start_storage()
    bucket = f"{workshop.settings.checkpoint_bucket}/adopt"
    workshop.python("-c", _UPLOAD, os.fspath(folder / f"{numbers[0]}-10"), bucket)
    ways[f"{numbers[0]:,} in a bucket"] = _adopting(workshop, f"{bucket}/runs", str(folder / "catalogue"))
    series = take_turns(ways, min(workshop.turns, _MOST_TURNS), warm_up=False)
    notes = {
        f"{way.way}: for each": f"{1e3 * way.seconds / int(way.way.split()[0].replace(',', '')):.2f} ms"
        for way in series
    }
    shutil.rmtree(folder)
    return (Comparison(title="Adopting small checkpoints in place", series=series, notes=notes),)


def _write(folder: Path, number: int) -> None:
    folder.mkdir(parents=True)
    for step in range(number):
        with BundleWriter(folder / f"model.ckpt-{step}") as writer:
            writer.add_array("global_step", np.int64(step))
            writer.add_array("w", np.full(64, step, np.float32))


def _link(source: Path, folder: Path, number: int, per_folder: int) -> None:
    """Arrange the first of them in folders, as links because writing them takes long."""
    for step in range(number):
        run = folder / f"run-{step // per_folder:05d}"
        run.mkdir(parents=True, exist_ok=True)
        for suffix in (".index", ".data-00000-of-00001"):
            os.link(source / f"model.ckpt-{step}{suffix}", run / f"model.ckpt-{step}{suffix}")


def _adopting(workshop: Workshop, source: str, catalogue: str) -> Callable[[], Run]:
    def adopt() -> Run:
        shutil.rmtree(catalogue, ignore_errors=True)
        where = ("--from", source, "--catalogue", catalogue)
        return workshop.stage("adopt", "--model", MODEL, *where, "--recursive", "--in-place")

    return adopt
