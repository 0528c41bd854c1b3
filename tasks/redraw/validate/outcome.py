"""How a check reports its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from redraw.errors import short_list
from redraw.records import Check

# People read reports; if a check has more problems than this, the log lists all of them.
_MOST_SHOWN = 8
_CORRECT = "Correct the definition."
_NEEDS = "not run: it needs the check "


class CannotRun(Exception):
    """A check lacks what it needs; its message becomes the finding of the check, which is `not_run`.

    Args:
        reason: What the check lacks.
        advice: What to do about it.
        excused: Why publication may go ahead without the check; empty if that takes a waiver.
    """

    def __init__(self, reason: str, advice: str, *, excused: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.excused = excused


def conclude(
    name: str, *, looked_at: str, expected: str, found: str, problems: Iterable[str], advice: str
) -> Check:
    """The outcome of a check that ran.

    Args:
        name: The name of the check.
        looked_at: What was examined.
        expected: What is true of a good export.
        found: What is true of this export, if nothing is wrong.
        problems: What is wrong, each in a few words that name the place; the check passes if there are none.
        advice: What to do about the problems.
    """
    listed = list(problems)
    return Check(
        name=name,
        status="failed" if listed else "passed",
        looked_at=looked_at,
        expected=expected,
        found=short_list(listed, f"problems of the check {name}", _MOST_SHOWN, "; ") if listed else found,
        advice=advice if listed else "",
    )


def skip(name: str, reason: str, advice: str) -> Check:
    """The outcome of a check that could not be done."""
    return Check(
        name=name,
        status="not_run",
        looked_at="nothing",
        expected="an export that the check can examine",
        found=f"not run: {reason}",
        advice=advice,
    )


def skip_dependent(name: str, needed: str) -> Check:
    """The outcome of a check that needs another one, which did not pass."""
    return replace(
        skip(name, "", "Fix the check that did not pass first."),
        found=f"{_NEEDS}{needed}, which did not pass",
    )


def is_dependent(check: Check) -> bool:
    """Whether a check was skipped because another one did not pass."""
    return check.found.startswith(_NEEDS)


def group_dependents(checks: Iterable[Check]) -> dict[str, list[str]]:
    """Group the checks that were skipped because of another one: what they lacked, to their names."""
    groups: dict[str, list[str]] = {}
    for check in filter(is_dependent, checks):
        groups.setdefault(check.found.removeprefix(_NEEDS), []).append(check.name)
    return {
        f"not run: {len(names)} {'check needs' if len(names) == 1 else 'checks need'} {lacked}": names
        for lacked, names in groups.items()
    }


def fail(name: str, cause: str) -> Check:
    """The outcome of a check in which the definition's own code raised an error."""
    return Check(
        name=name,
        status="failed",
        looked_at="the definition",
        expected="a definition whose code runs",
        found=cause.removesuffix(_CORRECT).rstrip(" ."),
        advice=_CORRECT,
    )
