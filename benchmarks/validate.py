"""Measure validation of MNIST and of a model of a gigabyte, versus reading its bytes and loading it.

Each way runs in a process of its own, one after the other in every round, with a warm page cache. Imports are
not counted:

- read: read each byte of the export once;
- load: load it in the C++ runtime, like a server;
- validate: run every check of the plan.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import BenchmarkFailed, Comparison, Run, Series
from benchmarks.workshop import Workshop

__all__ = ["measure_validate"]

_WORKERS = Path(__file__).parent
_GIGABYTES = "REDRAW_BENCH_GIGABYTES"
_LAYER_BYTES = 4096 * 4096 * 4 + 4096 * 4
_WAYS = ("read", "load", "validate")
_MOST_TURNS = 3
_SLOWEST_SHOWN = 8

Figures = Mapping[str, Any]


def measure_validate(workshop: Workshop) -> tuple[Comparison, ...]:
    """Validate MNIST, and stacks of the sizes in `REDRAW_BENCH_GIGABYTES` (1 by default)."""
    sizes = os.environ.get(_GIGABYTES, "1").split()
    layers = [max(1, round(float(size) * 1e9 / _LAYER_BYTES)) for size in sizes]
    return (_measure(workshop, 0), *(_measure(workshop, count) for count in layers))


def _measure(workshop: Workshop, layers: int) -> Comparison:
    """Measure a model with so many layers, or MNIST for 0."""
    folder = workshop.folder / f"validate-{layers}"
    folder.mkdir()
    if layers:
        for way in ("checkpoint", "redraw"):
            _work("export_worker.py", way, layers, folder)
    else:
        _work("validate_worker.py", "prepare-mnist", layers, folder)
    rounds = []
    for number in range(min(workshop.turns, _MOST_TURNS)):
        workshop.say(f"Validate, {layers} layers, round {number + 1}.")
        rounds.append({way: _work("validate_worker.py", way, layers, folder) for way in _WAYS})
    size = sum(path.stat().st_size for path in (folder / "redraw").rglob("*") if path.is_file())
    shutil.rmtree(folder)
    ways = tuple(Series(way=way, runs=tuple(_run(figures[way]) for figures in rounds)) for way in _WAYS)
    name = f"a stack of {size / 1e9:.2f} GB" if layers else f"MNIST, {size / 1e6:.2f} MB"
    title = f"Validation of {name}; memory is above that of the imports"
    return Comparison(title=title, series=ways, notes=_notes(rounds))


def _notes(rounds: list[dict[str, Figures]]) -> dict[str, str]:
    check_seconds: list[dict[str, float]] = [figures["validate"]["checks"] for figures in rounds]
    checks = {name: median(seconds[name] for seconds in check_seconds) for name in check_seconds[0]}
    slowest = sorted(checks, key=lambda name: -checks[name])[:_SLOWEST_SHOWN]
    peaks = {
        way: max(figures[way]["serving_peak_bytes"] for figures in rounds) for way in ("load", "validate")
    }
    return {
        "peak memory of the serving process, load and validate": " and ".join(
            f"{peak / 1e6:.0f} MB" for peak in peaks.values()
        ),
        **{f"check {name}": f"{checks[name]:.2f} s" for name in slowest},
    }


def _run(figures: Figures) -> Run:
    return Run(seconds=figures["seconds"], peak_bytes=int(figures["peak_bytes"]))


def _work(worker: str, way: str, layers: int, folder: Path) -> Figures:
    environment = {**os.environ, "DENSE_STACK_LAYERS": str(layers)}
    model = ["dense_stack"] if worker == "export_worker.py" else []
    command = [sys.executable, os.fspath(_WORKERS / worker), *model, way, os.fspath(folder)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise BenchmarkFailed(f"validate, {way}: ended with {process.returncode}: {process.stderr[-800:]}")
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return figures
