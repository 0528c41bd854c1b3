"""Figures as people read them; each is a filter of the templates."""

from __future__ import annotations

__all__ = ["as_bytes", "as_change", "as_figure", "as_time"]

_CHANGES = {
    "live": "made live",
    "rollback": "rolled back to",
    "label": "labelled",
    "unlabel": "label removed",
    "pin": "pinned",
    "unpin": "unpinned",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def as_bytes(size: int) -> str:
    """A size with three digits and its unit: `1.07 GB`."""
    value = float(size)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{value:.3g} {unit}"


def as_change(kind: str) -> str:
    """What was done to the live pointer, as `PointerChange.kind` names it."""
    return _CHANGES[kind]


def as_figure(value: float) -> str:
    """A metric with four digits that count."""
    return f"{value:.4g}"


def as_time(moment: str) -> str:
    """A record's time, `YYYY-MM-DDTHH:MM:SSZ`, as `YYYY-MM-DD HH:MM:SS`; all of them are UTC."""
    return moment.replace("T", " ").removesuffix("Z")
