"""The events of a model, made of what its bucket keeps: the same each time, with the same ids."""

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
    """That a version was published; its record may say that it lies elsewhere, which is not believed.

    Args:
        source: The model: `gs://BUCKET/MODEL`.
        release: The version's record.
    """
    asked = release.provenance
    reasons = [f"approved by {asked.approved_by}"] if asked.approved_by else []
    reasons += [f"run {asked.dag_run}"] if asked.dag_run else []
    return ModelEvent(
        kind="push",
        source=source,
        version=release.version,
        at=release.pushed_at,
        by=asked.asked_by,
        reason=", ".join(reasons),
        digest=release.digest,
        metrics=release.checkpoint.metrics,
    ).identified()


def prune_events(source: Uri, release: Release) -> tuple[ModelEvent, ...]:
    """That a version was removed; nothing if it was not. Arguments are as of `push_event`."""
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
        history: The changes, the newest last; those before it may be missing.
        releases: The release records of their versions, as far as they can be read.
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
    """A change that was asked for, if it is the last one: also where it was made before, by a try that died.

    Args:
        source: The model: `gs://BUCKET/MODEL`.
        pointer: As it stands.
        change: What was asked for.
        release: The release record of its version, if it can be read.
    """
    asked = (change.kind, change.version, change.label)
    last = pointer.history[-1:]
    if [(made.kind, made.version, made.label) for made in last] != [asked]:
        return ()
    releases = {change.version: release} if release else {}
    return tuple(change_events(source, pointer.history, releases))[-1:]


def announce_change(storage: Storage, pointer: LivePointer, change: PointerChange) -> LivePointer:
    """Notify the webhooks of a change that was made; it raises nothing.

    Returns:
        The pointer with the event.
    """
    release = None
    with contextlib.suppress(RedrawError):  # the change is made: its event does without the version's digest
        found = read_release(storage, pointer.model, change.version)
        if found:
            demand_record(storage, found)
        release = found
    events = last_event(storage.uri / pointer.model, pointer, change, release)
    return replace(pointer, events=announce(events))
