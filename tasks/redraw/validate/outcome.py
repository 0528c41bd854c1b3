"""How a check says what it found."""

from __future__ import annotations

from collections.abc import Iterable

from redraw.records import Check

__all__ = ["CannotRun", "conclude", "skip"]

# A report is read by people: after so many problems of one check the rest are counted.
_MOST_SHOWN = 8


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

    Returns:
        The check, passed or failed.
    """
    listed = list(problems)
    more = f"; and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    return Check(
        name=name,
        status="failed" if listed else "passed",
        looked_at=looked_at,
        expected=expected,
        found="; ".join(listed[:_MOST_SHOWN]) + more if listed else found,
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
