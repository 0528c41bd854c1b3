"""Measure the export of a Keras model: time, memory and bytes, side by side with its peers.

Each way runs in a process of its own on the same checkpoint, one after the other in every
round, with a warm page cache and the imports left out:

- cp: a copy of the SavedModel that redraw writes;
- redraw: the export stage, with digest, ledger and records;
- keras: build, restore, `model.export`;
- session: graph, `Saver.restore`, SavedModelBuilder.
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

from tests.bench.harness import BenchmarkFailed, Comparison, Run, Series
from tests.bench.workshop import Workshop

__all__ = ["measure_export"]

_WORKER = Path(__file__).with_name("export_worker.py")
_GIGABYTES = "REDRAW_BENCH_GIGABYTES"
_LAYER_BYTES = 4096 * 4096 * 4 + 4096 * 4
_WAYS = ("cp", "redraw", "keras", "session")
_MOST_TURNS = 3

Figures = Mapping[str, float]


def measure_export(workshop: Workshop) -> tuple[Comparison, ...]:
    """Export models of the sizes in `REDRAW_BENCH_GIGABYTES` (of served weights; 0.25 and 1 by default).

    A checkpoint has three times as many bytes, for it holds Adam's slots as well.
    """
    sizes = os.environ.get(_GIGABYTES, "0.25 1").split()
    return tuple(_measure(workshop, max(1, round(float(size) * 1e9 / _LAYER_BYTES))) for size in sizes)


def _measure(workshop: Workshop, layers: int) -> Comparison:
    folder = workshop.folder / f"export-{layers}"
    folder.mkdir()
    for way in ("checkpoint", "redraw"):  # the first export finds the cache cold: not counted
        _work(way, layers, folder)
    rounds = []
    for number in range(min(workshop.turns, _MOST_TURNS)):
        workshop.say(f"Export, {layers} layers, round {number + 1}.")
        rounds.append(_one_round(layers, folder))
    shutil.rmtree(folder)
    served = layers * _LAYER_BYTES
    ways = tuple(Series(way=way, runs=tuple(_run(figures[way]) for figures in rounds)) for way in _WAYS)
    notes = {
        f"{way}: bytes written for each byte served": f"{_median(rounds, way, 'written_bytes') / served:.3f}"
        for way in _WAYS[1:]
    }
    for peer in ("keras", "session"):
        ratio = median(figures[peer]["seconds"] / figures["redraw"]["seconds"] for figures in rounds)
        notes[f"{peer} / redraw, pair by pair"] = f"{ratio:.1f}"
    title = f"Export of {served / 1e9:.2f} GB of weights; memory is above that of the imports"
    return Comparison(title=title, series=ways, notes=notes)


def _run(figures: Figures) -> Run:
    peak = figures.get("peak_bytes")
    return Run(seconds=figures["seconds"], peak_bytes=None if peak is None else int(peak))


def _median(rounds: list[dict[str, Figures]], way: str, figure: str) -> float:
    return median(figures[way][figure] for figures in rounds)


def _one_round(layers: int, folder: Path) -> dict[str, Figures]:
    shutil.rmtree(folder / "redraw")
    figures: dict[str, Figures] = {"redraw": _work("redraw", layers, folder)}
    started = time.perf_counter()
    subprocess.run(["cp", "-r", "redraw", "cp"], cwd=folder, check=True)
    figures["cp"] = {"seconds": time.perf_counter() - started}
    shutil.rmtree(folder / "cp")
    for peer in ("keras", "session"):
        figures[peer] = _work(peer, layers, folder)
        shutil.rmtree(folder / peer)
    return figures


def _work(way: str, layers: int, folder: Path) -> Figures:
    environment = {**os.environ, "DENSE_STACK_LAYERS": str(layers)}
    command = [sys.executable, os.fspath(_WORKER), way, os.fspath(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkFailed(f"export by {way}: ended with {done.returncode}: {done.stderr[-500:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures
