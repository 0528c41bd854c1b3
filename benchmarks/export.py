"""Measure the export of a Keras model and of a TF1 graph: time, memory and bytes, versus other ways.

Each way runs in a process of its own on the same checkpoint, one after the other in every round, with a warm
page cache. Imports are not counted:

- cp: a copy of the SavedModel that redraw writes;
- redraw: the export stage, with digest, ledger and records;
- keras, for the Keras model: build, restore, `model.export`;
- session: graph, `Saver.restore`, SavedModelBuilder; without digest and ledger;
- sha256: `hashlib` over the files that redraw writes, with a thread for each core. Together with cp it is the
  least work that an export has to do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.harness import BenchmarkFailed, Comparison, Run, Series
from benchmarks.workshop import Workshop
from redraw.storage.files import digest_tree

__all__ = ["LAYER_BYTES", "Figures", "measure_export", "work"]

_WORKER = Path(__file__).with_name("export_worker.py")
_GIGABYTES = "REDRAW_BENCH_GIGABYTES"
LAYER_BYTES = 4096 * 4096 * 4 + 4096 * 4
_PEERS = {"dense_stack": ("keras", "session"), "dense_graph": ("session",)}
_MOST_TURNS = 3

Figures = Mapping[str, float]


def measure_export(workshop: Workshop) -> tuple[Comparison, ...]:
    """Export models of the sizes in `REDRAW_BENCH_GIGABYTES` (of served weights; 0.25 and 1 by default).

    A checkpoint has three times as many bytes, because it includes Adam's slots.
    """
    sizes = os.environ.get(_GIGABYTES, "0.25 1").split()
    layers = [max(1, round(float(size) * 1e9 / LAYER_BYTES)) for size in sizes]
    return tuple(_measure(workshop, model, count) for model in _PEERS for count in layers)


def _measure(workshop: Workshop, model: str, layers: int) -> Comparison:
    folder = workshop.folder / f"export-{model}-{layers}"
    folder.mkdir()
    for way in ("checkpoint", "redraw"):  # not counted: the first export has a cold cache
        work(model, way, layers, folder)
    rounds = []
    for number in range(min(workshop.turns, _MOST_TURNS)):
        workshop.say(f"Export of {model}, {layers} layers, round {number + 1}.")
        rounds.append(_one_round(model, layers, folder))
    shutil.rmtree(folder)
    served, peers = layers * LAYER_BYTES, _PEERS[model]
    ways = tuple(
        Series(way=way, runs=tuple(_run(figures[way]) for figures in rounds))
        for way in ("cp", "sha256", "redraw", *peers)
    )
    notes = {
        f"{way}: bytes written for each byte served": f"{_median(rounds, way, 'written_bytes') / served:.3f}"
        for way in ("redraw", *peers)
    }
    for peer in peers:
        ratio = median(figures[peer]["seconds"] / figures["redraw"]["seconds"] for figures in rounds)
        notes[f"{peer} / redraw, pair by pair"] = f"{ratio:.1f}"
    title = f"Export of {model}, {served / 1e9:.2f} GB of weights; memory is above that of the imports"
    return Comparison(title=title, series=ways, notes=notes)


def _run(figures: Figures) -> Run:
    peak = figures.get("peak_bytes")
    return Run(seconds=figures["seconds"], peak_bytes=None if peak is None else int(peak))


def _median(rounds: list[dict[str, Figures]], way: str, figure: str) -> float:
    return median(figures[way][figure] for figures in rounds)


def _one_round(model: str, layers: int, folder: Path) -> dict[str, Figures]:
    shutil.rmtree(folder / "redraw")
    figures: dict[str, Figures] = {"redraw": work(model, "redraw", layers, folder)}
    start = time.perf_counter()
    subprocess.run(["cp", "-r", "redraw", "cp"], cwd=folder, check=True)
    figures["cp"] = {"seconds": time.perf_counter() - start}
    shutil.rmtree(folder / "cp")
    start = time.perf_counter()
    digest_tree(folder / "redraw")
    figures["sha256"] = {"seconds": time.perf_counter() - start}
    for peer in _PEERS[model]:
        figures[peer] = work(model, peer, layers, folder)
        shutil.rmtree(folder / peer)
    return figures


def work(model: str, way: str, layers: int, folder: Path) -> Figures:
    """Run one way of `export_worker.py` in a process of its own.

    Raises:
        BenchmarkFailed: The process failed.
    """
    environment = {**os.environ, "DENSE_STACK_LAYERS": str(layers)}
    command = [sys.executable, os.fspath(_WORKER), model, way, os.fspath(folder)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise BenchmarkFailed(f"export by {way}: ended with {process.returncode}: {process.stderr[-500:]}")
    figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return figures
