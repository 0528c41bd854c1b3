"""Count the planted defects that validation catches, and the good exports that it holds up."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from benchmarks.harness import Comparison, Series
from benchmarks.workshop import Workshop

__all__ = ["measure_defects"]

Findings = Mapping[str, Mapping[str, Any]]


def measure_defects(workshop: Workshop) -> tuple[Comparison, ...]:
    """Put the corpus of `tests/defects` to the proof, once."""
    folder = workshop.folder / "defects"
    folder.mkdir()
    run = workshop.python("-m", "tests.defects", os.fspath(folder))
    found = json.loads(run.stdout.splitlines()[-1])
    notes = {
        "caught / planted": _share(found["planted"], _missed(found["planted"])),
        "passed / good": _share(found["good"], _alarms(found["good"])),
        **{f"missed {name}": check for name, check in _missed(found["planted"]).items()},
        **{f"false alarm {name}": checks for name, checks in _alarms(found["good"]).items()},
    }
    series = (Series(way="planted and good exports, made and examined", runs=(run,)),)
    return (
        Comparison(title="Validation of planted defects and of good exports", series=series, notes=notes),
    )


def _share(findings: Findings, wrong: Mapping[str, str]) -> str:
    return f"{len(findings) - len(wrong)} / {len(findings)}"


def _missed(planted: Findings) -> dict[str, str]:
    """Defect to the check that did not find it."""
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
