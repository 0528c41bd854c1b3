"""Compare a benchmark with what it cost before: `baseline.json`, the ratios of its ways to their first one.

A ratio of two ways in the same run says the same on a slow machine and on a fast one, as seconds do not.
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
# How far above the stored ratio a way may come before it fails.
_MARGIN = 1.5


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A way's ratio, next to the stored one.

    Attributes:
        title: The comparison's.
        way: The way.
        ratio: To the first way, now.
        stored: The ratio that `baseline.json` has.
        limit: The most that is allowed.
    """

    title: str
    way: str
    ratio: float
    stored: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether it is within its limit."""
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
    """Compare what was measured with the stored ratios.

    Args:
        name: The benchmark's.
        comparisons: Its result.
        path: The stored ratios.

    Returns:
        A standing for each way that has a stored ratio; comparisons of other sizes have none.

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
    """Store the ratios of a benchmark, each with a limit above it.

    Args:
        name: The benchmark's.
        comparisons: Its result.
        path: The stored ratios; those of other benchmarks and sizes stay.

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
