from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from benchmarks.harness import (
    BenchmarkFailed,
    Comparison,
    Difference,
    Run,
    Series,
    compare_with,
    run_command,
    take_turns,
)
from benchmarks.report import keep_comparisons, show_comparison


def _series(way: str, *seconds: float, peaks: tuple[int | None, ...] = ()) -> Series:
    peaks = peaks or (None,) * len(seconds)
    runs = tuple(Run(seconds=s, peak_bytes=peak) for s, peak in zip(seconds, peaks, strict=True))
    return Series(way=way, runs=runs)


def _python(text: str, tmp_path: Path, stdin: bytes = b"") -> Run:
    return run_command([sys.executable, "-c", text], environment=os.environ, folder=tmp_path, stdin=stdin)


def _has_ended(pid: int) -> bool:
    """Whether it runs no more; an orphan that nobody has reaped yet does not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_compare_with_slow_turn_counts_pairs_and_not_medians() -> None:
    # The second turn met a busy machine: within each turn the way took a quarter more, or 2 s.
    baseline, other = _series("A", 8.0, 80.0, 16.0), _series("B", 10.0, 82.0, 20.0)

    found = compare_with(baseline, other)

    assert found == Difference(added=2.0, ratio=1.25)
    assert other.seconds - baseline.seconds == 4.0


def test_compare_with_processor_time_counts_the_pairs_that_have_it() -> None:
    baseline = Series(way="A", runs=tuple(Run(seconds=1.0, cpu_seconds=cpu) for cpu in (1.0, 5.0, None)))
    other = Series(way="B", runs=tuple(Run(seconds=1.0, cpu_seconds=cpu) for cpu in (1.5, 6.5, 9.0)))

    assert compare_with(baseline, other).added_cpu == 1.0
    assert compare_with(_series("A", 1.0), _series("B", 1.0)).added_cpu is None


def test_compare_with_even_number_of_turns_takes_the_middle_of_two() -> None:
    assert compare_with(_series("A", 1.0, 2.0), _series("B", 2.0, 8.0)) == Difference(added=3.5, ratio=3.0)


def test_compare_with_other_number_of_turns_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare_with(_series("A", 1.0, 2.0), _series("B", 1.0))


def test_differences_three_ways_are_all_against_the_first() -> None:
    series = (_series("A", 2.0), _series("B", 3.0), _series("C", 1.0))

    found = Comparison(title="t", series=series).differences()

    assert found == (None, Difference(added=1.0, ratio=1.5), Difference(added=-1.0, ratio=0.5))


def test_series_gives_median_spread_and_highest_peak() -> None:
    series = _series("A", 9.0, 1.0, 2.0, peaks=(5, None, 7))

    assert (series.seconds, series.spread, series.peak_bytes) == (2.0, (1.0, 9.0), 7)
    assert _series("A", 1.0).peak_bytes is None


@pytest.mark.parametrize(("warm_up", "called"), [(True, "ABABAB"), (False, "ABAB")])
def test_take_turns_alternates_and_leaves_the_warm_up_out(warm_up: bool, called: str) -> None:
    calls: list[str] = []

    def way(name: str) -> Callable[[], Run]:
        def run() -> Run:
            calls.append(name)
            return Run(seconds=len(calls))

        return run

    first, second = take_turns({"A": way("A"), "B": way("B")}, 2, warm_up=warm_up)

    assert "".join(calls) == called
    start = len(called) - 4
    assert [run.seconds for run in first.runs] == [start + 1, start + 3]
    assert [run.seconds for run in second.runs] == [start + 2, start + 4]


def test_run_command_measures_memory_of_the_command_and_not_of_this_process(tmp_path: Path) -> None:
    here = bytearray(300_000_000)

    small = _python("pass", tmp_path)
    large = _python("x = bytearray(200_000_000)", tmp_path)

    assert len(here) > 200_000_000
    assert small.peak_bytes is not None
    assert large.peak_bytes is not None
    assert small.peak_bytes < 100_000_000
    assert 200_000_000 < large.peak_bytes < 300_000_000


def test_run_command_measures_processor_time_of_children_too(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True)"

    run = _python(parent, tmp_path)

    assert run.cpu_seconds is not None
    assert run.cpu_seconds >= 0.3
    assert run.seconds >= 0.3


def test_run_command_passes_input_and_returns_output(tmp_path: Path) -> None:
    run = _python("import os, sys; print(sys.stdin.read(), os.getcwd())", tmp_path, stdin=b"asked")

    assert run.stdout.decode() == f"asked {tmp_path}\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [("import sys; sys.exit('first\\nlast line')", "1"), ("import os; os.kill(os.getpid(), 9)", "137")],
)
def test_run_command_that_fails_is_no_measurement(text: str, status: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match=f"expected exit status 0, got {status}") as caught:
        _python(text, tmp_path)

    assert ("last line" in str(caught.value)) == (status == "1")


def test_run_command_over_its_bound_is_killed_with_what_it_started(tmp_path: Path) -> None:
    started = tmp_path / "child"
    child = f"import os, time; open({os.fspath(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"

    with pytest.raises(BenchmarkFailed, match="got none within 3 s"):
        run_command([sys.executable, "-c", parent], environment=os.environ, folder=tmp_path, bound_seconds=3)

    pid, deadline = int(started.read_text()), time.monotonic() + 10
    while not _has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _has_ended(pid)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_keep_comparisons_damaged_file_is_refused_and_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content)

    with pytest.raises(BenchmarkFailed, match=r"bench\.json: expected .*, got .*Remove it\."):
        keep_comparisons(path, "first", [])

    assert path.read_text() == content


def test_keep_comparisons_second_benchmark_leaves_the_first_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "bench.json"
    one = Comparison(title="one", series=(_series("A", 2.0), _series("B", 3.0, peaks=(7,))))

    keep_comparisons(path, "first", [one])
    keep_comparisons(path, "second", [one, one])
    keep_comparisons(path, "second", [one])

    kept = json.loads(path.read_text())
    assert {name: len(result["comparisons"]) for name, result in kept.items()} == {"first": 1, "second": 1}
    ways = kept["first"]["comparisons"][0]["ways"]
    assert [(way["way"], way["seconds"], way["peak_bytes"]) for way in ways] == [
        ("A", [2.0], None),
        ("B", [3.0], 7),
    ]
    assert ways[1]["against_the_first"] == {"added": 1.0, "ratio": 1.5, "added_cpu": None}


def test_show_comparison_prints_every_way_with_its_difference() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    comparison = Comparison(
        title="A title",
        series=(_series("A", 2.0), _series("[B]", 3.0, peaks=(7_000_000,))),
        notes={"a note": "its value"},
    )

    show_comparison(console, comparison)

    shown = console.export_text()
    row = next(line for line in shown.splitlines() if "[B]" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        "[B]",
        "3.00 s",
        "3.00 to 3.00 s",
        "+1.00 s",
        "1.50",
        "",
        "",
        "7 MB",
    ]
    assert "A title" in shown
    assert "a note: its value" in shown
