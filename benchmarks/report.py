"""Show comparisons as tables, and save them as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import BenchmarkFailed, Comparison, Difference, Series
from redraw.storage.files import write_atomically

__all__ = ["keep_comparisons", "read_results", "show_comparison"]

_PACKAGES = ("apache-airflow", "tensorflow", "keras", "google-cloud-storage")


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print a comparison: a row for each way, with differences to the first."""
    table = Table(title=comparison.title, title_justify="left", title_style="bold")
    table.add_column("Way")
    for heading in ("Median", "Fastest to slowest", "Added", "Ratio", "Processor", "Added", "Peak memory"):
        table.add_column(heading, justify="right")
    for series, difference in zip(comparison.series, comparison.differences(), strict=True):
        table.add_row(Text(series.way), *_cells(series, difference))
    console.print(table)
    for name, value in comparison.notes.items():
        console.print(Text(f"  {name}: {value}"), soft_wrap=True)
    console.print()


def read_results(path: Path) -> dict[str, Any]:
    """Read the saved results by benchmark; empty if there is no file.

    Raises:
        BenchmarkFailed: The file is malformed.
    """
    try:
        results = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as err:
        raise BenchmarkFailed(f"{path}: expected earlier results as JSON, got {err}. Remove it.") from err
    if not isinstance(results, dict):
        raise BenchmarkFailed(f"{path}: expected a JSON object, got {type(results).__name__}. Remove it.")
    return results


def keep_comparisons(path: Path, name: str, comparisons: Iterable[Comparison]) -> None:
    """Save a benchmark's result in the file, and replace an earlier one.

    Args:
        path: The JSON file, which is created if it is missing; the results of other benchmarks stay.
        name: The benchmark's name.
        comparisons: The benchmark's results.

    Raises:
        BenchmarkFailed: The file is malformed.
    """
    results = read_results(path)
    results[name] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "comparisons": [_comparison(comparison) for comparison in comparisons],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(results, indent=2).encode() + b"\n")


def _cells(series: Series, difference: Difference | None) -> tuple[str, ...]:
    fastest, slowest = series.spread
    cpu, peak = series.cpu_seconds, series.peak_bytes
    added_cpu = None if difference is None else difference.added_cpu
    return (
        f"{series.seconds:.2f} s",
        f"{fastest:.2f} to {slowest:.2f} s",
        "baseline" if difference is None else f"{difference.added:+.2f} s",
        "" if difference is None else f"{difference.ratio:.2f}",
        "" if cpu is None else f"{cpu:.2f} s",
        "" if added_cpu is None else f"{added_cpu:+.2f} s",
        "" if peak is None else f"{peak / 1e6:.0f} MB",
    )


def _comparison(comparison: Comparison) -> dict[str, Any]:
    ways = [
        {
            "way": series.way,
            "median_seconds": series.seconds,
            "seconds": [run.seconds for run in series.runs],
            "median_cpu_seconds": series.cpu_seconds,
            "peak_bytes": series.peak_bytes,
            "against_the_first": None if difference is None else asdict(difference),
        }
        for series, difference in zip(comparison.series, comparison.differences(), strict=True)
    ]
    return {"title": comparison.title, "ways": ways, "notes": dict(comparison.notes)}


def _machine() -> Mapping[str, Any]:
    """The machine of the figures; the load average shows how busy it was."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
    }
