"""Measure Redraw versus other ways of doing the same: `python -m benchmarks [NAME …]`.

Figures are printed and saved in `.redraw/bench.json`. Ratios in `benchmarks/baseline.json` have a limit, and
the command fails if one is exceeded. Figures are most reliable on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable

from rich.console import Console

from benchmarks.adopt import measure_adopt
from benchmarks.answers import measure_answers
from benchmarks.backfill import measure_backfill
from benchmarks.baseline import compare_with_baseline, save_baseline
from benchmarks.bytes_moved import measure_bytes_moved
from benchmarks.commands import measure_commands
from benchmarks.dag_parse import measure_dag_parse
from benchmarks.day import measure_day
from benchmarks.defects import measure_defects
from benchmarks.draft import measure_draft
from benchmarks.executors import measure_executors
from benchmarks.export import measure_export
from benchmarks.five_stages import measure_five_stages
from benchmarks.harness import BenchmarkFailed, Comparison
from benchmarks.huge import measure_huge
from benchmarks.models import measure_models
from benchmarks.pages import measure_pages
from benchmarks.push import measure_push
from benchmarks.reading import measure_bucket, measure_formats, measure_verify
from benchmarks.report import keep_comparisons, read_results, show_comparison
from benchmarks.rollout import measure_rollout
from benchmarks.stage_process import measure_stage_process
from benchmarks.validate import measure_validate
from benchmarks.workers import measure_workers
from benchmarks.workshop import ROOT, Workshop, open_workshop
from redraw_airflow.standalone.errors import EmbeddedError

__all__ = ["main"]

_BENCHMARKS: dict[str, Callable[[Workshop], tuple[Comparison, ...]]] = {
    "dag-parse": measure_dag_parse,
    "models": measure_models,
    "stage-process": measure_stage_process,
    "commands": measure_commands,
    "export": measure_export,
    "draft": measure_draft,
    "verify": measure_verify,
    "formats": measure_formats,
    "bucket": measure_bucket,
    "push": measure_push,
    "huge": measure_huge,
    "pages": measure_pages,
    "defects": measure_defects,
    "validate": measure_validate,
    "adopt": measure_adopt,
    "answers": measure_answers,
    "backfill": measure_backfill,
    "bytes": measure_bytes_moved,
    "executors": measure_executors,
    "workers": measure_workers,
    "rollout": measure_rollout,
    "day": measure_day,
    # The last one, because it starts Airflow, which would disturb other benchmarks.
    "five-stages": measure_five_stages,
}
_RESULTS = ROOT / ".redraw" / "bench.json"
_TURNS = 5
_PLAIN_WIDTH = 120
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run benchmarks.

    Args:
        arguments: Names of benchmarks, and options; the process's own by default.

    Returns:
        The exit status: 0, 1 if a benchmark failed or is above its limit, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(_BENCHMARKS)}; all by default"
    )
    parser.add_argument(
        "--turns", type=int, default=_TURNS, help="how often each way is measured (%(default)s)"
    )
    parser.add_argument(
        "--save-baseline", action="store_true", help="store the ratios in benchmarks/baseline.json"
    )
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(_BENCHMARKS))
    if unknown or options.turns < 1:
        parser.error(f"no benchmark {unknown[0]!r}" if unknown else "--turns: expected at least 1")
    # A user's own settings would change the results.
    for name in [name for name in os.environ if name.startswith("REDRAW_") and "BENCH" not in name]:
        del os.environ[name]
    # Like an interrupt, this ends all started processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        names = [name for name in _BENCHMARKS if name in (options.names or _BENCHMARKS)]
        return 0 if _measure(names, options.turns, save=options.save_baseline) else 1
    except (BenchmarkFailed, EmbeddedError) as err:
        details = err.details if isinstance(err, EmbeddedError) else ()
        sys.stderr.write("\n    ".join([f"error: {err}", *details]) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; nothing is left running.\n")
        return _INTERRUPTED


def _measure(names: list[str], turns: int, *, save: bool) -> bool:
    """Run benchmarks; returns whether all ratios are within their limits."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    progress = Console(stderr=True, style="dim", highlight=False)
    passed = True
    read_results(_RESULTS)  # fails early if the file is damaged
    with open_workshop(turns, lambda line: progress.print(line, soft_wrap=True)) as workshop:
        for name in names:
            workshop.say(f"Measuring {name}.")
            comparisons = _BENCHMARKS[name](workshop)
            for comparison in comparisons:
                show_comparison(console, comparison)
            keep_comparisons(_RESULTS, name, comparisons)
            if save:
                save_baseline(name, comparisons)
            for standing in compare_with_baseline(name, comparisons):
                console.print(f"  {standing}", style="" if standing.passed else "bold red", soft_wrap=True)
                passed = passed and standing.passed
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    console.print(
        f"On {os.cpu_count()} cores with a load average of {load}. Kept in {_RESULTS.relative_to(ROOT)}."
    )
    return passed


if __name__ == "__main__":
    sys.exit(main())
