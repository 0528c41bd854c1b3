"""Measure different ways of doing the same thing: in turns, several times, pair by pair.

The load of a machine changes, so no way is measured alone. The ways take turns (A B A B …), and a way's cost
is the median, over the turns, of its difference to the baseline of the same turn. Load that slows all of them
cancels out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

__all__ = [
    "BenchmarkFailed",
    "Comparison",
    "Difference",
    "Run",
    "Series",
    "compare_with",
    "run_command",
    "take_turns",
    "wait_until",
]

_LAUNCHER = Path(__file__).with_name("launch.py")
_BOUND_SECONDS = 1800.0
_LINES_SHOWN = 5


class BenchmarkFailed(Exception):
    """A measured command failed, or its result cannot be saved."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The figures of one run.

    Attributes:
        seconds: The wall time.
        cpu_seconds: The processor time, which a busy machine disturbs less; None if no process was started.
        peak_bytes: The peak memory of its largest process; None if no process was started.
        stdout: Its standard output.
    """

    seconds: float
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    stdout: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Series:
    """All runs of one way, in the order of the turns."""

    way: str
    runs: tuple[Run, ...]

    @property
    def seconds(self) -> float:
        """The median wall time of the runs."""
        return median(run.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float | None:
        """The median processor time of the runs that have one."""
        values = [run.cpu_seconds for run in self.runs if run.cpu_seconds is not None]
        return median(values) if values else None

    @property
    def spread(self) -> tuple[float, float]:
        """The fastest and the slowest run, in seconds."""
        seconds = [run.seconds for run in self.runs]
        return min(seconds), max(seconds)

    @property
    def peak_bytes(self) -> int | None:
        """The largest peak memory of the runs."""
        return max((run.peak_bytes for run in self.runs if run.peak_bytes is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The cost of a way beyond the baseline: medians over the turns.

    Attributes:
        added: The additional seconds.
        ratio: Its seconds divided by the baseline's.
        added_cpu: The additional processor seconds; None if either has none.
    """

    added: float
    ratio: float
    added_cpu: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ways of doing the same, the baseline first.

    Attributes:
        title: The title.
        series: A series for each way.
        notes: More figures: name to text.
    """

    title: str
    series: tuple[Series, ...]
    notes: Mapping[str, str] = field(default_factory=dict)

    def differences(self) -> tuple[Difference | None, ...]:
        """Each way's difference to the baseline; None for the baseline itself."""
        baseline, *others = self.series
        return (None, *(compare_with(baseline, other) for other in others))


def compare_with(baseline: Series, series: Series) -> Difference:
    """Compare two series turn by turn.

    Args:
        baseline: The series to compare with.
        series: The other series, of the same turns.

    Returns:
        The medians of the pairs' differences and ratios.

    Raises:
        ValueError: The series have different numbers of turns.
    """
    pairs = list(zip(baseline.runs, series.runs, strict=True))
    cpu = [
        run.cpu_seconds - base.cpu_seconds
        for base, run in pairs
        if base.cpu_seconds is not None and run.cpu_seconds is not None
    ]
    return Difference(
        added_cpu=median(cpu) if cpu else None,
        added=median(run.seconds - base.seconds for base, run in pairs),
        ratio=median(run.seconds / base.seconds for base, run in pairs),
    )


def take_turns(
    ways: Mapping[str, Callable[[], Run]], turns: int, *, warm_up: bool = True
) -> tuple[Series, ...]:
    """Run all ways in turns.

    Args:
        ways: Name to a function that runs the way once; the first is the baseline.
        turns: How often each is measured.
        warm_up: Whether to run a first turn that is not counted, to fill the page cache and write byte code.

    Returns:
        A series for each way, in the order of `ways`.
    """
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    for _ in range(turns + warm_up):
        for way, run in ways.items():
            runs[way].append(run())
    return tuple(Series(way=way, runs=tuple(way_runs[warm_up:])) for way, way_runs in runs.items())


def run_command(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdin: bytes = b"",
    bound_seconds: float = _BOUND_SECONDS,
    show: bool = False,
) -> Run:
    """Run a program until it ends, and measure it.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        folder: The folder to start it in.
        stdin: Its standard input.
        bound_seconds: How long it may take before it is killed with all that it started.
        show: Whether to pass on its standard error, instead of using it for the message of a failure.

    Returns:
        Its time, peak memory and standard output.

    Raises:
        BenchmarkFailed: The program failed, or took too long.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report, log = Path(scratch, "report.json"), Path(scratch, "stderr.log")
        launch = [sys.executable, "-I", "-S", os.fspath(_LAUNCHER), os.fspath(report), *command]
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                launch,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if show else stderr,
                start_new_session=True,
            )
        try:
            stdout, _ = process.communicate(stdin, timeout=bound_seconds)
        except subprocess.TimeoutExpired as err:
            raise BenchmarkFailed(_failure(command, f"none within {bound_seconds:g} s", log)) from err
        finally:
            # Also if it is interrupted: a benchmark leaves nothing running.
            _end(process)
        if process.returncode:
            raise BenchmarkFailed(_failure(command, str(process.returncode), log))
        return Run(stdout=stdout, **json.loads(report.read_text()))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _failure(command: Sequence[str], status: str, log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-_LINES_SHOWN:]
    text = " ".join(command)
    return "\n    ".join([f"{text:.200}: expected exit status 0, got {status}. It last wrote:", *lines])


def wait_until(
    condition: Callable[[], bool], subject: str, seconds: float = 20.0, every: float = 0.02
) -> None:
    """Poll a condition until it is true.

    Raises:
        BenchmarkFailed: It is not true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{subject}: expected within {seconds:g} s, got nothing.")
        time.sleep(every)
