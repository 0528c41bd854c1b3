from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.baseline import compare_with_baseline, save_baseline
from benchmarks.harness import BenchmarkFailed, Comparison, Run, Series


def _comparison(seconds: float, title: str = "Export of lines") -> Comparison:
    series = {"cp": 1.0, "redraw": seconds}
    return Comparison(
        title=title,
        series=tuple(Series(way=way, runs=(Run(seconds=taken),)) for way, taken in series.items()),
    )


@pytest.mark.parametrize(("seconds", "passed"), [(2.0, True), (3.0, True), (3.1, False), (0.1, True)])
def test_compare_ratio_above_its_limit_fails(tmp_path: Path, seconds: float, passed: bool) -> None:
    stored = tmp_path / "baseline.json"
    save_baseline("export", [_comparison(2.0)], stored)
    (standing,) = compare_with_baseline("export", [_comparison(seconds)], stored)
    assert (standing.way, standing.stored, standing.limit) == ("redraw", 2.0, 3.0)
    assert standing.passed == passed
    assert ("ABOVE" in str(standing)) != passed


def test_compare_what_was_never_stored_has_no_limit(tmp_path: Path) -> None:
    stored = tmp_path / "baseline.json"
    assert compare_with_baseline("export", [_comparison(2.0)], stored) == []
    save_baseline("export", [_comparison(2.0)], stored)
    assert compare_with_baseline("push", [_comparison(2.0)], stored) == []
    assert compare_with_baseline("export", [_comparison(2.0, "Export of 5 GB")], stored) == []


def test_save_keeps_what_other_benchmarks_stored(tmp_path: Path) -> None:
    stored = tmp_path / "baseline.json"
    for name in ("export", "push"):
        save_baseline(name, [_comparison(2.0)], stored)
    assert [len(compare_with_baseline(name, [_comparison(1.0)], stored)) for name in ("export", "push")] == [
        1,
        1,
    ]


def test_compare_damaged_file_is_one_clear_error(tmp_path: Path) -> None:
    stored = tmp_path / "baseline.json"
    stored.write_text("{")
    with pytest.raises(BenchmarkFailed, match="expected stored ratios as JSON"):
        compare_with_baseline("export", [_comparison(2.0)], stored)
