"""Measure a push versus the other ways of sending a folder to a bucket.

All use the same server, in turns. Redraw's time is that of the whole stage, with claim, digests, listing and
record; the others only send. Imports are not counted, except for the programs gsutil and curl.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.harness import BenchmarkFailed, Comparison, Run, compare_with, take_turns
from benchmarks.senders import Gsutil, run_curl, run_curl_multipart
from benchmarks.workshop import Workshop
from tests.publishing.exports import describe_export
from tests.publishing.proxy import run_proxy

__all__ = ["measure_push"]

_WORKER = Path(__file__).with_name("push_worker.py")
_SHARDS, _SHARD_BYTES = 8, 128 << 20
_FILES, _FILE_BYTES = 2000, 1024
_LATENCY = 0.02
_MOST_TURNS = 3
# As many as a push sends at once: few large files, many small ones.
_CURLS_OF_SHARDS, _CURLS_OF_FILES = 4, 16

_place_numbers = itertools.count()


def measure_push(workshop: Workshop) -> tuple[Comparison, ...]:
    """Push a model with large shards and one with small files, once and again."""
    workshop.start_storage()
    shards, files = workshop.folder / "shards", workshop.folder / "files"
    _write_model(shards, _SHARDS, _SHARD_BYTES)
    _write_model(files, _FILES, _FILE_BYTES)
    return (
        _compare(workshop, shards, _CURLS_OF_SHARDS, f"{_SHARDS} shards of {_SHARD_BYTES >> 20} MiB"),
        _compare(workshop, files, _CURLS_OF_FILES, f"{_FILES} files of {_FILE_BYTES} bytes"),
        _compare_with_latency(workshop, files),
        _push_again(workshop, shards),
        _compare_passports(workshop, shards),
    )


def _write_model(folder: Path, count: int, size: int) -> None:
    """Write random data files like a SavedModel's, and the files of export and validation next to it."""
    (folder / "variables").mkdir(parents=True)
    for number in range(count):
        name = f"variables.data-{number:05d}-of-{count:05d}"
        (folder / "variables" / name).write_bytes(os.urandom(size))
    (folder / "variables" / "variables.index").write_bytes(os.urandom(2000))
    (folder / "saved_model.pb").write_bytes(os.urandom(20000))
    describe_export(folder)


def _compare(workshop: Workshop, folder: Path, curls: int, subject: str) -> Comparison:
    gsutil = Gsutil(workshop)
    ways: dict[str, Callable[[Path, str], Run]] = {
        "redraw push": partial(_work, workshop, "redraw"),
        "gsutil -m cp": gsutil.send,
        "gcsfs put": partial(_work, workshop, "gcsfs"),
        "transfer_manager, processes": partial(_work, workshop, "processes"),
        "transfer_manager, threads": partial(_work, workshop, "threads"),
        f"{curls} curls": lambda folder, place: run_curl(
            workshop.environment, folder, place, curls, workshop.folder
        ),
        f"{curls} curls, multipart as a push": lambda folder, place: run_curl_multipart(
            workshop.environment, folder, place, curls, workshop.folder
        ),
    }
    measured = {way: partial(_send_and_check, workshop, folder, send) for way, send in ways.items()}
    series = take_turns(measured, min(workshop.turns, _MOST_TURNS))
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    seconds = series[0].seconds
    notes = {
        "redraw push": f"{sum(sizes) / 1e6 / seconds:.1f} MB/s, {len(sizes) / seconds:.0f} objects/s",
        "gsutil version, which is counted in its time": f"{gsutil.start().seconds:.2f} s",
    }
    return Comparison(title=f"Push of {subject}", series=series, notes=notes)


def _compare_with_latency(workshop: Workshop, folder: Path) -> Comparison:
    with run_proxy(workshop.settings.gcs_url) as proxy:
        proxy.latency = _LATENCY
        variables = {"STORAGE_EMULATOR_HOST": proxy.url}
        ways = {
            name: partial(
                _send_and_check, workshop, folder, partial(_work, workshop, way, variables=variables)
            )
            for name, way in (("redraw push", "redraw"), ("google-cloud-storage, one by one", "one by one"))
        }
        series = take_turns(ways, min(workshop.turns, _MOST_TURNS), warm_up=False)
    ratio = compare_with(series[0], series[1]).ratio
    notes = {"one by one / redraw push, pair by pair": f"{ratio:.1f} (at least 4 asked for)"}
    title = f"Push of {_FILES} small files, {_LATENCY * 1000:.0f} ms of latency added to each request"
    return Comparison(title=title, series=series, notes=notes)


def _push_again(workshop: Workshop, folder: Path) -> Comparison:
    place = f"{workshop.settings.model_bucket}/again"
    _work(workshop, "redraw", folder, place)
    figures = []

    def again() -> Run:
        figures.append(_figures(workshop, "redraw", folder, place))
        return Run(seconds=figures[-1]["seconds"], peak_bytes=int(figures[-1]["peak_bytes"]))

    series = take_turns({"redraw push": again}, min(workshop.turns, _MOST_TURNS))
    read_bytes = median(push["read_bytes"] for push in figures)
    notes = {"bytes read, of files and answers": f"{read_bytes / 1e6:.2f} MB"}
    _remove(workshop, place)
    return Comparison(title="Push of the shards where they are published already", series=series, notes=notes)


def _compare_passports(workshop: Workshop, folder: Path) -> Comparison:
    """Push the shards with and without a passport: its time, and the additional bytes that it reads."""
    figures: dict[str, list[dict[str, float]]] = {"true": [], "false": []}

    def push(passport: str) -> Run:
        place = f"{workshop.settings.model_bucket}/{next(_place_numbers)}"
        push_figures = _figures(workshop, "redraw", folder, place, {"REDRAW_PASSPORT": passport})
        figures[passport].append(push_figures)
        _remove(workshop, place)
        return Run(seconds=push_figures["seconds"], peak_bytes=int(push_figures["peak_bytes"]))

    ways = {"with a passport": partial(push, "true"), "without": partial(push, "false")}
    series = take_turns(ways, workshop.turns)

    def added(figure: str) -> float:
        pairs = zip(figures["true"], figures["false"], strict=True)
        return median(signed[figure] - plain[figure] for signed, plain in pairs)

    notes = {
        "a passport takes": f"{added('seconds'):.2f} s (at most 0.5 asked for)",
        "and reads": f"{added('read_bytes') / 1e6:.2f} MB",
    }
    return Comparison(title="Push of the shards with a passport and without", series=series, notes=notes)


def _work(
    workshop: Workshop, way: str, folder: Path, place: str, variables: dict[str, str] | None = None
) -> Run:
    figures = _figures(workshop, way, folder, place, variables)
    return Run(seconds=figures["seconds"], peak_bytes=int(figures["peak_bytes"]))


def _figures(
    workshop: Workshop, way: str, folder: Path, place: str, variables: dict[str, str] | None = None
) -> dict[str, float]:
    run = workshop.python(os.fspath(_WORKER), way, os.fspath(folder), place, variables=variables)
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


def _send_and_check(workshop: Workshop, folder: Path, send: Callable[[Path, str], Run]) -> Run:
    """Send a folder to a new place, check that all of it arrived, and remove it there."""
    place = f"{workshop.settings.model_bucket}/{next(_place_numbers)}"
    run = send(folder, place)
    expected = sorted(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    arrived = sorted(path.stat().st_size for path in _on_disk(workshop, place).rglob("*") if path.is_file())
    missing = len(expected) - sum(size in arrived for size in expected)
    if missing or len(arrived) < len(expected):
        raise BenchmarkFailed(f"{folder} to {place}: expected {len(expected)} objects, got {len(arrived)}.")
    _remove(workshop, place)
    return run


def _remove(workshop: Workshop, place: str) -> None:
    """Remove the server's files directly, because thousands of requests to delete would take long."""
    shutil.rmtree(_on_disk(workshop, place))


def _on_disk(workshop: Workshop, place: str) -> Path:
    return workshop.settings.state / "gcs" / place.removeprefix("gs://")
