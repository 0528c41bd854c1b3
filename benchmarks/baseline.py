"""Compare a benchmark with earlier results: `baseline.json` has the ratio of each way to the first one.

Unlike seconds, the ratio of two ways in the same run is comparable between slow and fast machines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import BenchmarkFailed, Comparison
from redraw.storage.files import write_atomically

__all__ = ["BASELINE", "Standing", "compare_with_baseline", "save_baseline"]

BASELINE = Path(__file__).with_name("baseline.json")
# The factor by which a way may exceed its stored ratio.
_MARGIN = 1.5


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A way's ratio, next to the stored one.

    Attributes:
        title: The comparison's title.
        way: The way's name.
        ratio: The current ratio to the first way.
        stored: The ratio in `baseline.json`.
        limit: The largest allowed ratio.
    """

    title: str
    way: str
    ratio: float
    stored: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the ratio is within its limit."""
        return self.ratio <= self.limit

    def __str__(self) -> str:
        verdict = "within" if self.passed else "ABOVE"
        return (
            f"{self.title}: {self.way}: {self.ratio:.2f}, {verdict} its limit of {self.limit:.2f}"
            f" (stored: {self.stored:.2f})"
        )


def compare_with_baseline(
    name: str, comparisons: Iterable[Comparison], path: Path = BASELINE
) -> list[Standing]:
    """Compare results with the stored ratios.

    Args:
        name: The benchmark's name.
        comparisons: The benchmark's results.
        path: The stored ratios.

    Returns:
        A standing for each way with a stored ratio; comparisons of other sizes have none.

    Raises:
        BenchmarkFailed: The file is damaged.
    """
    stored = _read(path).get(name, {})
    return [
        Standing(title=title, way=way, ratio=ratio, **stored[title][way])
        for title, way, ratio in _ratios(comparisons)
        if way in stored.get(title, {})
    ]


def save_baseline(name: str, comparisons: Iterable[Comparison], path: Path = BASELINE) -> None:
    """Store the ratios of a benchmark, each with a limit.

    Args:
        name: The benchmark's name.
        comparisons: The benchmark's results.
        path: The file of ratios; those of other benchmarks and sizes stay.

    Raises:
        BenchmarkFailed: The file is damaged.
    """
    stored = _read(path)
    for title, way, ratio in _ratios(comparisons):
        limit = {"stored": round(ratio, 3), "limit": round(ratio * _MARGIN, 3)}
        stored.setdefault(name, {}).setdefault(title, {})[way] = limit
    write_atomically(path, json.dumps(stored, indent=2, sort_keys=True).encode() + b"\n")


def _ratios(comparisons: Iterable[Comparison]) -> Iterable[tuple[str, str, float]]:
    for comparison in comparisons:
        for series, difference in zip(comparison.series, comparison.differences(), strict=True):
            if difference is not None:
                yield comparison.title, series.way, difference.ratio


def _read(path: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as err:
        where = os.path.relpath(path)
        raise BenchmarkFailed(f"{where}: expected stored ratios as JSON, got {err}. Restore it.") from err
    return stored
