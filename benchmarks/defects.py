"""Count the planted defects that validation catches, and the good exports that it rejects."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.harness import Comparison, Series, run_command
from benchmarks.workshop import ROOT, Workshop

__all__ = ["measure_defects"]

Findings = Mapping[str, Mapping[str, Any]]

_FINDINGS = ROOT / ".redraw" / "defects.jsonl"
_BOUND_SECONDS = 7200.0


def measure_defects(workshop: Workshop) -> tuple[Comparison, ...]:
    """Validate the corpus of `tests/defects` once; an interrupted run resumes."""
    folder = workshop.folder / "defects"
    command = ("-m", "tests.defects", os.fspath(folder), "--findings", os.fspath(_FINDINGS))
    environment = workshop.environment | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    run = run_command(
        [sys.executable, *command],
        environment=environment,
        folder=ROOT,
        bound_seconds=_BOUND_SECONDS,
        show=True,
    )
    findings = json.loads(run.stdout.splitlines()[-1])
    _FINDINGS.unlink()
    # The seconds of all runs that made the findings.
    seconds = sum(finding["seconds"] for kind in findings.values() for finding in kind.values())
    notes = {
        "caught / planted": _share(findings["planted"], _missed(findings["planted"])),
        "passed / good": _share(findings["good"], _alarms(findings["good"])),
        "257 rows of 3 s of sound": _edges(findings["good"]["trained-Audio"]["check_seconds"]),
        **{f"missed {name}": check for name, check in _missed(findings["planted"]).items()},
        **{f"false alarm {name}": checks for name, checks in _alarms(findings["good"]).items()},
    }
    total = replace(run, seconds=seconds)
    series = (Series(way="planted and good exports, made and examined", runs=(total,)),)
    return (
        Comparison(title="Validation of planted defects and of good exports", series=series, notes=notes),
    )


def _edges(seconds: Mapping[str, float]) -> str:
    """The time of the check request-edges, and of all other checks."""
    edges = seconds["request-edges"]
    return f"request-edges {edges:.1f} s, all other checks {sum(seconds.values()) - edges:.1f} s"


def _share(findings: Findings, wrong: Mapping[str, str]) -> str:
    return f"{len(findings) - len(wrong)} / {len(findings)}"


def _missed(planted: Findings) -> dict[str, str]:
    """Defect to the check that missed it."""
    return {
        name: str(finding["caught_by"])
        for name, finding in planted.items()
        if finding["statuses"].get(finding["caught_by"]) != "failed"
    }


def _alarms(good: Findings) -> dict[str, str]:
    """Good export to the checks that did not pass."""
    return {
        name: ", ".join(finding["found"]) or finding["error"]
        for name, finding in good.items()
        if finding["found"] or finding["error"]
    }
