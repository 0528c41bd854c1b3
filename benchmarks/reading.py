"""Measure reading checkpoints: verification, every format, and a bucket; without Airflow.

Each way runs in a process of its own (`source_worker.py`), with a warm page cache. Imports are not counted.
The weights are those of the export's benchmark.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.export import LAYER_BYTES, work
from benchmarks.harness import Comparison, Run, compare_with, take_turns
from benchmarks.workshop import Workshop
from tests.publishing.proxy import run_proxy

__all__ = ["measure_bucket", "measure_formats", "measure_verify"]

_WORKER = Path(__file__).with_name("source_worker.py")
_LARGE, _SMALL, _IN_BUCKET = 15, 4, 2
# The time to the first byte from a bucket in the same region.
_FAR_MILLISECONDS = 50
_UPLOAD = """
import sys
from pathlib import Path
from redraw.storage.opening import open_storage
for path in Path(sys.argv[1]).iterdir():
    open_storage(sys.argv[2]).create(path.name, path)
"""


def measure_verify(workshop: Workshop) -> tuple[Comparison, ...]:
    """Verify the checksums of a checkpoint of 3 GB, versus `cat` of its files to /dev/null."""
    folder = workshop.folder / "verify"
    folder.mkdir()
    work("dense_stack", "checkpoint", _LARGE, folder)
    figures_of: dict[str, Mapping[str, float]] = {}
    ways = {
        "cat": partial(_cat, folder / "checkpoint"),
        "verify": partial(_run_worker, workshop, figures_of, "verify", folder / "checkpoint" / "weights"),
    }
    series = take_turns(ways, workshop.turns)
    figures = figures_of["verify"]
    notes = {
        "speed of verify / speed of cat, pair by pair": f"{1 / compare_with(*series).ratio:.2f}",
        "memory of the whole process": f"{figures['total_peak_bytes'] / 1e6:.0f} MB",
        "imports tensorflow": "yes" if figures["tensorflow"] else "no",
    }
    title = f"Verification of a checkpoint of {3 * _LARGE * LAYER_BYTES / 1e9:.2f} GB"
    return (Comparison(title=title, series=series, notes=notes),)


def measure_formats(workshop: Workshop) -> tuple[Comparison, ...]:
    """Move the same weights from a file of every format into that of a SavedModel."""
    folder = workshop.folder / "formats"
    folder.mkdir()
    for model, way in (("dense_stack", "checkpoint"), ("dense_stack", "files"), ("dense_graph", "files")):
        work(model, way, _SMALL, folder)
    figures_of: dict[str, Mapping[str, float]] = {}
    files = {
        "TensorBundle": "weights",
        "Keras 3 .keras": "model.keras",
        "Keras 3 .weights.h5": "model.weights.h5",
        "Keras 2 .h5": "model.h5",
        "TF1 V1": "model.ckpt",
    }
    ways: dict[str, Callable[[], Run]] = {
        way: partial(_run_worker, workshop, figures_of, "move", folder / "checkpoint" / name, name=way)
        for way, name in files.items()
    }
    series = take_turns(ways, workshop.turns)
    notes = {
        f"{way}: memory above the largest tensor": (
            f"{(figures['peak_bytes'] - figures['largest_bytes']) / 1e6:+.0f} MB"
        )
        for way, figures in figures_of.items()
    }
    title = f"Moving {_SMALL * LAYER_BYTES / 1e9:.2f} GB of weights; memory is above that of the imports"
    return (Comparison(title=title, series=series, notes=notes),)


def measure_bucket(workshop: Workshop) -> tuple[Comparison, ...]:
    """Move the served weights from a checkpoint in a bucket, with and without latency."""
    folder = workshop.folder / "bucket"
    folder.mkdir()
    work("dense_graph", "checkpoint", _IN_BUCKET, folder)
    workshop.start_storage()
    uri = f"{workshop.settings.checkpoint_bucket}/bench"
    workshop.python("-c", _UPLOAD, os.fspath(folder / "checkpoint"), uri)
    figures_of: dict[str, Mapping[str, float]] = {}
    ways: dict[str, Callable[[], Run]] = {}
    with run_proxy(workshop.settings.gcs_url) as proxy:
        proxy.latency = _FAR_MILLISECONDS / 1000
        places = {"near": workshop.settings.gcs_url, f"{_FAR_MILLISECONDS} ms away": proxy.url}
        for place, server in places.items():
            for way, name in (("move-one-by-one", "one by one"), ("move", "read ahead")):
                ways[f"{name}, {place}"] = partial(
                    _run_worker,
                    workshop,
                    figures_of,
                    way,
                    f"{uri}/weights",
                    server=server,
                    name=f"{name}, {place}",
                )
        series = take_turns(ways, workshop.turns)
    notes = {
        f"{way}: bytes read for each byte served": f"{figures['read_bytes'] / figures['served_bytes']:.4f}"
        for way, figures in figures_of.items()
    }
    title = f"Moving {_IN_BUCKET * LAYER_BYTES / 1e9:.2f} GB of weights out of a bucket"
    return (Comparison(title=title, series=series, notes=notes),)


def _cat(folder: Path) -> Run:
    start = time.perf_counter()
    subprocess.run(["sh", "-c", 'exec cat "$@" > /dev/null', "cat", *folder.iterdir()], check=True)
    return Run(seconds=time.perf_counter() - start)


def _run_worker(
    workshop: Workshop,
    figures_of: dict[str, Mapping[str, float]],
    way: str,
    checkpoint: Path | str,
    *,
    server: str = "",
    name: str = "",
) -> Run:
    """Run the worker, and note its figures, which do not include imports, in `figures_of`."""
    variables = {"STORAGE_EMULATOR_HOST": server} if server else {}
    run = workshop.python(os.fspath(_WORKER), way, os.fspath(checkpoint), variables=variables)
    figures = json.loads(run.stdout.splitlines()[-1])
    figures_of[name or way] = figures
    return Run(seconds=figures["seconds"], peak_bytes=int(figures["peak_bytes"]))
