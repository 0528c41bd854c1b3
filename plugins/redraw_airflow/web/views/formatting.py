"""Figures as people read them; each is a filter of the templates."""

from __future__ import annotations

import shlex

__all__ = ["as_argument", "as_bytes", "as_cell", "as_change", "as_duration", "as_figure", "as_time"]

_CHANGES = {
    "live": "made live",
    "rollback": "rolled back to",
    "label": "labelled",
    "unlabel": "label removed",
    "pin": "pinned",
    "unpin": "unpinned",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def as_bytes(value: float, digits: int = 3) -> str:
    """A size with the digits that count and its unit: `1.07 GB`."""
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.{digits}g} {unit}"


def as_cell(value: float) -> str:
    """A metric in a column: every one with as many digits that count, so that they can be compared."""
    return f"{value:#.4g}".removesuffix(".")


def as_change(kind: str) -> str:
    """What was done to the live pointer, as `PointerChange.kind` names it."""
    return _CHANGES[kind]


def as_duration(seconds: float) -> str:
    """A time to wait, in the unit that suits it: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def as_figure(value: float | None, digits: int = 4) -> str:
    """A metric with the digits that count; records have none for NaN and infinity."""
    return "not a number" if value is None else f"{value:.{digits}g}"


def as_time(moment: str) -> str:
    """A record's time, `YYYY-MM-DDTHH:MM:SSZ`, as `YYYY-MM-DD HH:MM:SS`; all of them are UTC."""
    return moment.replace("T", " ").removesuffix("Z")


def as_argument(text: str) -> str:
    """A value as an argument of a command that is copied into a shell."""
    return shlex.quote(text)
