"""Measure the comparison of two versions' answers, versus the bare C++ runtime with the same requests.

Two versions of the text classifier are published and get `REDRAW_BENCH_ROWS` messages (1,000,000 by
default), each way in a process of its own:

- bare: both versions in TensorFlow's C++ runtime, through its C API, one after the other, with all messages
  in memory, in batches of 4,096;
- compare-answers: the command, which reads the messages from a file of JSON lines and counts the differences.

Neither includes fetching and loading the versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import BenchmarkFailed, Comparison, Run, Series
from benchmarks.workshop import Workshop

__all__ = ["measure_answers"]

_ROWS = "REDRAW_BENCH_ROWS"
_WORKER = Path(__file__).with_name("answers_worker.py")
_WAYS = ("bare", "compare-answers")
_MOST_TURNS = 3

Figures = Mapping[str, Any]


def measure_answers(workshop: Workshop) -> tuple[Comparison, ...]:
    """Send both versions the same requests, in turns."""
    rows = int(os.environ.get(_ROWS, "1000000"))
    workshop.start_storage()
    folder = workshop.folder / "answers"
    folder.mkdir()
    workshop.say("publishing two versions of the text classifier")
    _work(workshop, "prepare", folder, rows)
    rounds = []
    for number in range(min(workshop.turns, _MOST_TURNS)):
        workshop.say(f"{rows:,} rows, round {number + 1}")
        rounds.append({way: _work(workshop, way, folder, rows) for way in _WAYS})
    few = _work(workshop, "compare-answers", folder, rows // 10)
    ways = tuple(Series(way=way, runs=tuple(_run(figures[way]) for figures in rounds)) for way in _WAYS)
    bare, compared = (series.seconds for series in ways)
    notes = {
        "rows a second by both versions, bare and compared": f"{rows / bare:,.0f} and {rows / compared:,.0f}",
        "share of the bare runtime": f"{bare / compared:.2f}",
        "peak memory of a tenth of the rows": f"{few['peak_bytes'] / 1e6:.0f} MB",
    }
    title = f"Answers of two versions of the text classifier to {rows:,} messages"
    return (Comparison(title=title, series=ways, notes=notes),)


def _run(figures: Figures) -> Run:
    return Run(seconds=figures["seconds"], peak_bytes=figures["peak_bytes"])


def _work(workshop: Workshop, way: str, folder: Path, rows: int) -> Figures:
    command = [sys.executable, os.fspath(_WORKER), way, os.fspath(folder), str(rows)]
    environment = {**workshop.environment, "REDRAW_BENCH_BUCKET": workshop.settings.model_bucket}
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise BenchmarkFailed(f"answers, {way}: ended with {process.returncode}: {process.stderr[-800:]}")
    figures: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return figures
