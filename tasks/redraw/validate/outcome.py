"""How a check says what it found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from redraw.errors import short_list
from redraw.records import Check

# A report is read by people: of more problems of one check the log has all.
_MOST_SHOWN = 8
_CORRECT = "Correct the definition."
_NEEDS = "not run: it needs the check "


class CannotRun(Exception):
    """A check lacks what it needs; the message says what, and becomes the finding of `not_run`.

    Args:
        reason: What it lacks.
        advice: What to do about it.
        excused: Why publication goes ahead without the check; empty if only a waiver can say so.
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
        name: The check's.
        looked_at: What was examined.
        expected: What a good export shows.
        found: What this one shows, where nothing is wrong.
        problems: What is wrong, each in a few words that name the place; none passes the check.
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
        expected="an export for which the check can be done",
        found=f"not run: {reason}",
        advice=advice,
    )


def skip_dependent(name: str, needed: str) -> Check:
    """The outcome of a check that needs another one, which did not pass."""
    return replace(skip(name, "", "Fix that first."), found=f"{_NEEDS}{needed}, which did not pass")


def is_dependent(check: Check) -> bool:
    """Whether a check was left out because another one did not pass."""
    return check.found.startswith(_NEEDS)


def group_dependents(checks: Iterable[Check]) -> dict[str, list[str]]:
    """What each check lacked that was left out because of another one, to the names of these checks."""
    found: dict[str, list[str]] = {}
    for check in filter(is_dependent, checks):
        found.setdefault(check.found.removeprefix(_NEEDS), []).append(check.name)
    return {
        f"not run: {len(names)} {'check needs' if len(names) == 1 else 'checks need'} {lacked}": names
        for lacked, names in found.items()
    }


def fail(name: str, cause: str) -> Check:
    """The outcome of a check that the definition's own code ended."""
    return Check(
        name=name,
        status="failed",
        looked_at="the definition",
        expected="a definition whose code runs",
        found=cause.removesuffix(_CORRECT).rstrip(" ."),
        advice=_CORRECT,
    )
