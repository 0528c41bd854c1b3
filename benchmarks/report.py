"""Show comparisons as tables, and keep them as JSON."""

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
    """Print a comparison: a row a way, differences to the first."""
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
    """What the file holds, by benchmark; nothing where it is absent.

    Raises:
        BenchmarkFailed: It holds something else.
    """
    try:
        kept = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as err:
        raise BenchmarkFailed(f"{path}: expected earlier results as JSON, got {err}. Remove it.") from err
    if not isinstance(kept, dict):
        raise BenchmarkFailed(f"{path}: expected a JSON object, got {type(kept).__name__}. Remove it.")
    return kept


def keep_comparisons(path: Path, name: str, comparisons: Iterable[Comparison]) -> None:
    """Put a benchmark's result into the file, in place of an earlier one of that name.

    Args:
        path: A JSON file; made when absent, other benchmarks in it are kept.
        name: The benchmark's.
        comparisons: Its result.

    Raises:
        BenchmarkFailed: The file holds something else.
    """
    kept = read_results(path)
    kept[name] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "comparisons": [_comparison(comparison) for comparison in comparisons],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(kept, indent=2).encode() + b"\n")


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
    """What the figures were measured on; the load says how much of it others had."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
    }
