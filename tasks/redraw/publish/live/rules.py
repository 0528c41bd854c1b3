"""The rules of changing the live pointer; they use no storage and no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from redraw.errors import OlderThanLive, VersionNotFound, VersionRejected
from redraw.publish.bucket.layout import live_name, trained_before
from redraw.records import LivePointer, PointerChange, PointerChangeKind

_Fields = dict[str, Any]


def apply_change(pointer: LivePointer, change: PointerChange, *, older: bool = False) -> LivePointer:
    """Apply one change, and add it to the history.

    Args:
        pointer: The current pointer.
        change: The requested change.
        older: Whether the version has older weights than the live one of the same second; their numbers do
            not tell.

    Returns:
        The new pointer, or the same one if nothing changes.

    Raises:
        OlderThanLive: The version has older weights than the live one, and the change has no reason; a
            rollback needs none.
        VersionRejected: The version was rolled back before, and the change has no reason.
        VersionNotFound: The version is being pruned, or a label needs a live version and there is none.
    """
    if change.version in pointer.pruning and change.kind not in {"unlabel", "unpin"}:
        raise VersionNotFound(
            f"{live_name(pointer.model)}: version {change.version} is being pruned, so it cannot be"
            " changed. Choose another version."
        )
    live = pointer.version
    older = older or (live is not None and trained_before(change.version, live))
    if change.kind in {"live", "rollback"} and live != change.version:
        _demand_reasons(pointer, change, older=older)
    fields = _EFFECTS[change.kind](pointer, change)
    if fields and (change.kind == "rollback" or (change.kind == "live" and older)):
        fields |= {"rejected": {**fields["rejected"], str(live): _why(change)}}
    if all(getattr(pointer, name) == value for name, value in fields.items()):
        return pointer
    return replace(pointer, **fields, history=(*pointer.history, change))


def _demand_reasons(pointer: LivePointer, change: PointerChange, *, older: bool) -> None:
    rejected = pointer.rejected.get(str(change.version))
    if rejected is not None and not change.allow_rejected:
        raise VersionRejected(
            f"{live_name(pointer.model)}: version {change.version} was rejected by a roll-back: {rejected}."
            " Choose another version, or add --allow-rejected REASON."
        )
    if older and change.kind != "rollback" and not change.allow_older:
        raise OlderThanLive(
            f"{live_name(pointer.model)}: version {change.version} was trained before the live version"
            f" {pointer.version}. Choose a newer version, or add --allow-older REASON."
        )


def _live(pointer: LivePointer, change: PointerChange) -> _Fields:
    if pointer.version == change.version:
        return {}
    return {
        "version": change.version,
        "previous": pointer.version,
        "labels": {**pointer.labels, "stable": change.version},
        "rejected": _without(pointer.rejected, str(change.version)),
    }


def _why(change: PointerChange) -> str:
    return f"{change.by or 'somebody'}: {change.reason or change.allow_older or 'no reason given'}"


def _label(pointer: LivePointer, change: PointerChange) -> _Fields:
    if pointer.version is None:
        raise VersionNotFound(
            f"{live_name(pointer.model)}: the label {change.label} needs a live version, and there is none."
            " Make a version live first: redraw live --set VERSION."
        )
    return {"labels": {**pointer.labels, change.label: change.version}}


def _unlabel(pointer: LivePointer, change: PointerChange) -> _Fields:
    return {"labels": _without(pointer.labels, change.label)}


def _pin(pointer: LivePointer, change: PointerChange) -> _Fields:
    return {"pinned": {**pointer.pinned, str(change.version): change.reason}}


def _unpin(pointer: LivePointer, change: PointerChange) -> _Fields:
    return {"pinned": _without(pointer.pinned, str(change.version))}


def _without(entries: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if key != name}


_EFFECTS: Mapping[PointerChangeKind, Callable[[LivePointer, PointerChange], _Fields]] = {
    "live": _live,
    "rollback": _live,
    "label": _label,
    "unlabel": _unlabel,
    "pin": _pin,
    "unpin": _unpin,
}
