"""Formats figures for people; each function is a filter of the templates."""

from __future__ import annotations

import shlex

from markupsafe import Markup

__all__ = [
    "as_argument",
    "as_bytes",
    "as_cell",
    "as_change",
    "as_count",
    "as_difference",
    "as_duration",
    "as_figure",
    "as_time",
]

_CHANGES = {
    "live": "made live",
    "rollback": "rolled back to",
    "label": "labelled",
    "unlabel": "label removed",
    "pin": "pinned",
    "unpin": "unpinned",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
# Larger figures are written with an exponent.
_WRITTEN_OUT = 1e15


def as_bytes(value: float, digits: int = 3) -> str:
    """A size with significant digits and its unit: `1.07 GB`."""
    for unit in _UNITS:
        if float(f"{value:.{digits}g}") < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{as_figure(value, digits)} {unit}"


def as_cell(value: float) -> str:
    """A metric in a column, with a fixed number of significant digits, so that rows can be compared."""
    text = f"{value:#.4g}".removesuffix(".")
    return as_figure(value) if "e+" in text else text


def as_change(kind: str) -> str:
    """What was done to the live pointer, by a `PointerChange.kind`."""
    return _CHANGES[kind]


def as_count(number: int, word: str, plural: str = "") -> str:
    """A number of things: `1 version`, `1,000 versions`."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def as_difference(value: float) -> str:
    """The difference of a metric with its sign, which is as wide as a digit."""
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    return sign + as_figure(abs(value))


def as_duration(seconds: float) -> str:
    """A duration in a fitting unit: `0.25 s`, `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.2g} s" if 0 < seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def as_figure(value: float | None, digits: int = 4) -> str:
    """A metric with significant digits; records have None for NaN and infinity."""
    if value is None:
        return "not a number"
    text = f"{value:.{digits}g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < _WRITTEN_OUT else text


def as_time(moment: str) -> Markup:
    """Format a record's time, `YYYY-MM-DDTHH:MM:SSZ`, as `YYYY-MM-DD HH:MM:SS` in UTC.

    A page's script shows it in the time zone that the user has chosen in Airflow.
    """
    text = moment.replace("T", " ").removesuffix("Z")
    return Markup('<time datetime="{}">{}</time>').format(moment, text)


def as_argument(text: str) -> str:
    """Quote a value as an argument of a shell command."""
    return shlex.quote(text)
