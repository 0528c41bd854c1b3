"""Derive a model's events from the records in its bucket: the same each time, with the same ids."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from redraw.errors import RedrawError
from redraw.publish.bucket.layout import read_release
from redraw.publish.bucket.verified import demand_record
from redraw.publish.events.deliver import announce
from redraw.records import LivePointer, PointerChange, Release
from redraw.records.events import ModelEvent
from redraw.storage.opening import Storage
from redraw.uri import Uri


def push_event(source: Uri, release: Release) -> ModelEvent:
    """The publication of a version. Its source is the given one, whatever URI the record has.

    Args:
        source: The model: `gs://BUCKET/MODEL`.
        release: The version's record.
    """
    provenance = release.provenance
    reasons = [f"approved by {provenance.approved_by}"] if provenance.approved_by else []
    reasons += [f"run {provenance.dag_run}"] if provenance.dag_run else []
    return ModelEvent(
        kind="push",
        source=source,
        version=release.version,
        at=release.pushed_at,
        by=provenance.asked_by,
        reason=", ".join(reasons),
        digest=release.digest,
        metrics=release.checkpoint.metrics,
    ).identified()


def prune_events(source: Uri, release: Release) -> tuple[ModelEvent, ...]:
    """The removal of a version; empty if it was not removed.

    Args:
        source: The model: `gs://BUCKET/MODEL`.
        release: The version's record.
    """
    if release.pruned is None:
        return ()
    event = ModelEvent(
        kind="prune",
        source=source,
        version=release.version,
        at=release.pruned.pruned_at,
        by=release.pruned.by,
        reason=release.pruned.reason,
        digest=release.digest,
        metrics=release.checkpoint.metrics,
    )
    return (event.identified(),)


def change_events(
    source: Uri, history: Sequence[PointerChange], releases: Mapping[int, Release]
) -> Iterator[ModelEvent]:
    """The changes of the live pointer.

    Args:
        source: The model: `gs://BUCKET/MODEL`.
        history: The changes, the newest last; earlier ones may be missing.
        releases: The release records of their versions that can be read.
    """
    before: Counter[str] = Counter()
    for change in history:
        release = releases.get(change.version)
        event = ModelEvent(
            kind=change.kind,
            source=source,
            version=change.version,
            at=change.changed_at,
            by=change.by,
            reason=change.reason,
            label=change.label,
            digest=release.digest if release else None,
            metrics=release.checkpoint.metrics if release else {},
        ).identified()
        yield event.identified(before[event.id])
        before[event.id] += 1


def last_event(
    source: Uri, pointer: LivePointer, change: PointerChange, release: Release | None
) -> tuple[ModelEvent, ...]:
    """The event of a requested change, if it is the pointer's last one, perhaps made by an earlier try.

    Args:
        source: The model: `gs://BUCKET/MODEL`.
        pointer: The current live pointer.
        change: The requested change.
        release: The release record of its version, if it can be read.
    """
    expected = (change.kind, change.version, change.label)
    last = pointer.history[-1:]
    if [(actual.kind, actual.version, actual.label) for actual in last] != [expected]:
        return ()
    releases = {change.version: release} if release else {}
    return tuple(change_events(source, pointer.history, releases))[-1:]


def announce_change(storage: Storage, pointer: LivePointer, change: PointerChange) -> LivePointer:
    """Notify the webhooks of a change of the live pointer; it raises nothing.

    Returns:
        The pointer with the event.
    """
    release = None
    with contextlib.suppress(RedrawError):  # the change is made; without a record, its event has no digest
        record = read_release(storage, pointer.model, change.version)
        if record:
            demand_record(storage, record)
        release = record
    events = last_event(storage.uri / pointer.model, pointer, change, release)
    return replace(pointer, events=announce(events))
