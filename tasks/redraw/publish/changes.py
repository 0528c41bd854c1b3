"""List a model's events, derived from the records in its bucket, and send them to the webhooks again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import accumulate

from redraw.errors import InvalidRecord, ObjectConflict, SignatureInvalid, VerificationFailed
from redraw.names import ModelName
from redraw.publish.bucket.layout import list_versions, numbered_live_name, read_records
from redraw.publish.bucket.verified import demand_record
from redraw.publish.events.deliver import announce
from redraw.publish.events.derive import change_events, prune_events, push_event
from redraw.publish.live.pointer import numbers_of, read_numbered, read_pointer
from redraw.records import LivePointer, PointerChange, Release
from redraw.records.events import ModelEvent
from redraw.records.results import EventList
from redraw.requests import EventsRequest
from redraw.storage.opening import Storage, in_parallel, open_storage

_logger = logging.getLogger(__name__)


def list_events(request: EventsRequest) -> EventList:
    """List a model's events, the oldest first; with `deliver`, send them to the webhooks.

    Changes of the live pointer are listed in the order of its history, even if a clock was behind.

    A version has no events if its records contradict each other, or are not signed and a key is configured.

    Args:
        request: The model, its bucket, and the time of the first event.

    Raises:
        InvalidRecord: There is no numbered pointer, and `live.json` is damaged.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    events = _all_events(open_storage(request.bucket), request.model)
    selected = tuple(event for when, event in events if when >= (request.since or ""))
    return EventList(model=request.model, events=announce(selected) if request.deliver else selected)


def _all_events(storage: Storage, model: ModelName) -> list[tuple[str, ModelEvent]]:
    """The events, each with the time that it is ordered by."""
    releases, unreadable = read_records(storage, model, list_versions(storage, model))
    for record in unreadable.values():
        _logger.warning("skipped: %s", record.reason)
    reasons = in_parallel(lambda release: _why_refused(storage, release), releases.values())
    refused = dict(zip(releases, reasons, strict=True))
    for reason in filter(None, refused.values()):
        _logger.warning("skipped: %s", reason)
    releases = {version: release for version, release in releases.items() if not refused[version]}
    source = storage.uri / model
    history = [change for change in _whole_history(storage, model) if not refused.get(change.version)]
    pushed = [push_event(source, release) for release in releases.values()]
    changed = list(change_events(source, history, releases))
    pruned = [event for release in releases.values() for event in prune_events(source, release)]
    times = accumulate((event.at for event in changed), max)
    events = [
        *((event.at, event) for event in pushed),
        *zip(times, changed, strict=True),
        *((event.at, event) for event in pruned),
    ]
    return sorted(events, key=lambda pair: pair[0])


def _why_refused(storage: Storage, release: Release) -> str:
    """Why a version has no events; empty if its record is consistent and signed as configured."""
    try:
        demand_record(storage, release)
    except (VerificationFailed, SignatureInvalid, InvalidRecord) as err:
        return str(err)
    return ""


def _whole_history(storage: Storage, model: ModelName) -> list[PointerChange]:
    """The history of the first numbered pointer, then the change of each later one."""

    def read(number: int) -> LivePointer | None:
        try:
            return read_numbered(storage, model, numbered_live_name(model, number), number)
        except (InvalidRecord, ObjectConflict) as err:
            _logger.warning("skipped: %s", err)
            return None

    numbers = numbers_of(storage, model)
    if not numbers:
        return list(read_pointer(storage, model).history)
    history: list[PointerChange] = []
    before: tuple[PointerChange, ...] = ()
    for pointer in filter(None, in_parallel(read, numbers)):
        history += pointer.history[_overlap(before, pointer.history) :]
        before = pointer.history
    return history


def _overlap(before: Sequence[PointerChange], after: Sequence[PointerChange]) -> int:
    """How many changes both histories have in common; each has only its last ones."""
    counts = range(min(len(before), len(after)), 0, -1)
    return next((count for count in counts if before[-count:] == after[:count]), 0)
