"""Which share of small slips the tests catch: `python -m tests.mutants --mutants 40 --seed 1`."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from contextlib import closing

from tests.mutants.slips import Slip, apply_slip, sample_slips
from tests.mutants.trial import Outcome, Trial, copy_checkout
from tests.paths import ROOT

__all__ = ["main"]

_PACKAGES = {
    **{
        name: f"tasks/redraw/{name}"
        for name in (
            "checkpoint",
            "export",
            "recorded",
            "validate",
            "inspect",
            "publish",
            "rollout",
            "reexport",
        )
    },
    **{name: f"plugins/redraw_airflow/{name}" for name in ("stages", "operators", "web")},
}


def main() -> None:
    """Try a sample of slips in a copy of the checkout, and print what survived and the share caught."""
    asked = _parser().parse_args()
    packages = {name: _PACKAGES[name] for name in asked.packages}
    results: list[tuple[Slip, Outcome]] = []
    with copy_checkout(ROOT) as copy, closing(Trial(copy=copy, seconds=asked.seconds)) as trial:
        for slip in sample_slips(copy, list(packages.values()), asked.mutants, asked.seed):
            began, change = time.monotonic(), _changed_lines((copy / slip.module).read_text(), slip)
            outcome = trial.try_slip(slip)
            results.append((slip, outcome))
            print(_line(slip, change, outcome, time.monotonic() - began), flush=True)
    _print_shares(packages, results)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--mutants", type=int, default=40, help="how many slips, spread over the packages")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same slips")
    parser.add_argument("--seconds", type=float, default=300, help="how long the tests of one slip may take")
    parser.add_argument("packages", nargs="*", default=[*_PACKAGES], help=f"some of {', '.join(_PACKAGES)}")
    return parser


def _line(slip: Slip, change: tuple[str, str], outcome: Outcome, seconds: float) -> str:
    by = f"  by {outcome.by}" if outcome.by else ""
    changed = "  ->  ".join(change)
    return f"{outcome.verdict:11} {slip.module}:{slip.line}  {changed}{by}  ({seconds:.0f} s)"


def _changed_lines(source: str, slip: Slip) -> tuple[str, str]:
    """The line of the slip before and after it."""
    changed = apply_slip(source, slip) or source
    number = slip.line - 1
    after = changed.splitlines()[number] if changed.count("\n") == source.count("\n") else "(removed)"
    return source.splitlines()[number].strip(), after.strip()


def _print_shares(packages: dict[str, str], results: list[tuple[Slip, Outcome]]) -> None:
    for name, folder in {**packages, "all": ""}.items():
        counts = Counter(outcome.verdict for slip, outcome in results if slip.module.startswith(folder))
        tried = counts.total() - counts["unsound"]
        share = f"{counts['caught'] / tried:.0%}" if tried else "none tried"
        others = ", ".join(
            f"{counts[verdict]} {verdict}" for verdict in ("out of time", "unsound") if counts[verdict]
        )
        print(f"{name:11} {counts['caught']:3} of {tried:3} caught  {share:>4}  {others}")


if __name__ == "__main__":
    main()
