"""Show what has changed about a model, made of what its bucket keeps, and send it to the webhooks again."""

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
    """List what has changed about a model, the oldest first; with `deliver` the webhooks are sent all of it.

    What the live pointer's history has later comes later, also if the clock of who changed it was behind.

    A version whose records contradict each other, or are not signed if a key is configured, has no event.

    Args:
        request: The model, its bucket, and since when.

    Raises:
        InvalidRecord: No change has an object of its own, and the live pointer is damaged.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    events = _all_events(open_storage(request.bucket), request.model)
    wanted = tuple(event for when, event in events if when >= (request.since or ""))
    return EventList(model=request.model, events=announce(wanted) if request.deliver else wanted)


def _all_events(storage: Storage, model: ModelName) -> list[tuple[str, ModelEvent]]:
    """The events, each with the time by which it stands where it does."""
    releases, unreadable = read_records(storage, model, list_versions(storage, model))
    for record in unreadable.values():
        _logger.warning("passed over: %s", record.reason)
    refused = dict(
        zip(releases, in_parallel(lambda one: _why_refused(storage, one), releases.values()), strict=True)
    )
    for reason in filter(None, refused.values()):
        _logger.warning("passed over: %s", reason)
    releases = {version: one for version, one in releases.items() if not refused[version]}
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
    """Why nothing is said of a version; empty if its record can be believed."""
    try:
        demand_record(storage, release)
    except (VerificationFailed, SignatureInvalid, InvalidRecord) as err:
        return str(err)
    return ""


def _whole_history(storage: Storage, model: ModelName) -> list[PointerChange]:
    """Every change that a numbered pointer made, after what the first of them knows of before."""

    def read(number: int) -> LivePointer | None:
        try:
            return read_numbered(storage, model, numbered_live_name(model, number), number)
        except (InvalidRecord, ObjectConflict) as err:
            _logger.warning("passed over: %s", err)
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
    """How many changes both have: each shows only its last ones."""
    counts = range(min(len(before), len(after)), 0, -1)
    return next((count for count in counts if before[-count:] == after[:count]), 0)
