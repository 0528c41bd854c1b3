"""Measure ways of doing the same thing side by side: in turns, several times, pair by pair.

A machine is never idle and never twice the same, so a way is not measured alone: the ways
take turns (A B A B …), and a way's cost is the median, over the turns, of its difference
to the baseline of the same turn. A change that slows all of them down cancels out.
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
    """What was to be measured did not work, or its result cannot be kept."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run took.

    Attributes:
        seconds: Of wall time.
        cpu_seconds: Of processor time, which a busy machine disturbs less; None where
            nothing was started.
        peak_bytes: The most memory that one process of it held; None where nothing was started.
        stdout: What it printed.
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
        """The median of the runs."""
        return median(run.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float | None:
        """The median of the runs that have it."""
        known = [run.cpu_seconds for run in self.runs if run.cpu_seconds is not None]
        return median(known) if known else None

    @property
    def spread(self) -> tuple[float, float]:
        """The fastest and the slowest run, in seconds."""
        seconds = [run.seconds for run in self.runs]
        return min(seconds), max(seconds)

    @property
    def peak_bytes(self) -> int | None:
        """The most that any run held."""
        return max((run.peak_bytes for run in self.runs if run.peak_bytes is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a way costs more than the baseline: medians over the turns.

    Attributes:
        added: Seconds.
        ratio: Its seconds over the baseline's.
        added_cpu: Seconds of processor time; None where either has none.
    """

    added: float
    ratio: float
    added_cpu: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ways of doing the same, the baseline first.

    Attributes:
        title: What is compared.
        series: A series a way.
        notes: What else is to be said: name to value, ready to print.
    """

    title: str
    series: tuple[Series, ...]
    notes: Mapping[str, str] = field(default_factory=dict)

    def differences(self) -> tuple[Difference | None, ...]:
        """For each way its difference to the baseline; None for the baseline itself."""
        baseline, *others = self.series
        return (None, *(compare_with(baseline, other) for other in others))


def compare_with(baseline: Series, series: Series) -> Difference:
    """Compare two series turn by turn.

    Args:
        baseline: What the other is compared with.
        series: As many runs, of the same turns.

    Returns:
        The medians of the pairs' differences and ratios.

    Raises:
        ValueError: They are not of the same turns.
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
        ways: Name to what runs it once; the first is the baseline.
        turns: How often each is measured.
        warm_up: Whether a first turn is run and not counted: it fills the page cache and
            writes the byte code.

    Returns:
        A series a way, in the order given.
    """
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    for _ in range(turns + warm_up):
        for way, run in ways.items():
            runs[way].append(run())
    return tuple(Series(way=way, runs=tuple(done[warm_up:])) for way, done in runs.items())


def run_command(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdin: bytes = b"",
    bound_seconds: float = _BOUND_SECONDS,
    show: bool = False,
) -> Run:
    """Run a program to its end, and measure it.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        folder: Where it is started.
        stdin: What it reads.
        bound_seconds: How long it may take before it is killed, with all that it started.
        show: Pass on what it says on stderr, instead of keeping it for the message of a failure.

    Returns:
        Its seconds, its peak memory and what it printed.

    Raises:
        BenchmarkFailed: It ended with another status than 0, or not within the bound.
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
            # Also where it is interrupted: a benchmark leaves nothing running.
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
    shown = " ".join(command)
    return "\n    ".join([f"{shown:.200}: expected exit status 0, got {status}. It last wrote:", *lines])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20.0, every: float = 0.02) -> None:
    """Poll a condition until it holds.

    Raises:
        BenchmarkFailed: It does not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{what}: expected within {seconds:g} s, got nothing.")
        time.sleep(every)
