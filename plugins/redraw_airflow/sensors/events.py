"""One look at a bucket or a catalogue: the records that arrived since the last look."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from redraw.checkpoint.catalogue.listing import list_checkpoints
from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.publish.bucket.layout import read_records, release_name
from redraw.publish.live.pointer import read_pointer
from redraw.records import Checkpoint, LivePointer, Record, Release
from redraw.storage.opening import open_storage
from redraw.uri import BucketUri, Uri
from redraw_airflow.operators.arguments import text
from redraw_airflow.stages.credentials import using_connection

_logger = logging.getLogger(__name__)

_LONG_AGO = "1970-01-01T00:00:00Z"

# What earlier looks have read: a record's name to its generation, or `live` to the version.
Seen = dict[str, int]
Look = Callable[[Mapping[str, Any], Seen], Sequence[Record]]


def look(event: str, arguments: Mapping[str, Any], seen_before: Seen) -> list[dict[str, Any]]:
    """Look once; every look lists all records, but reads only new ones.

    Args:
        event: One of `LOOKS`.
        arguments: JSON values: `model`, `place`, `after`, `gcp_conn_id`.
        seen_before: What earlier looks have read, empty at first; a look that succeeds updates it.

    Returns:
        The new records that came after `after`, the oldest first, as JSON values.

    Raises:
        StorageError: The bucket or folder cannot be read.
        InvalidRecord: A file there is not a record.
    """
    with using_connection(arguments["gcp_conn_id"]):
        return [record.to_json() for record in LOOKS[event](arguments, seen_before)]


def _new_checkpoints(arguments: Mapping[str, Any], seen_before: Seen) -> Sequence[Checkpoint]:
    """The checkpoints whose weights were trained after a time."""
    catalogue, model, after = Uri(arguments["place"]), ModelName(arguments["model"]), arguments["after"]
    seen_now: Seen = {}
    listed = list_checkpoints(catalogue, model, trained_from=after, known=seen_before, seen=seen_now)
    arrived = [checkpoint for checkpoint in listed if checkpoint.trained_at > after]
    # Only now: what a failed look has read must be read again. What was deleted may come back.
    seen_before.clear()
    seen_before.update(seen_now)
    return sorted(arrived, key=lambda checkpoint: (checkpoint.trained_at, checkpoint.step, checkpoint.digest))


def _new_versions(arguments: Mapping[str, Any], seen_before: Seen) -> Sequence[Release]:
    """The releases above a version that were not pruned; damaged ones are skipped."""
    storage, model = open_storage(BucketUri(arguments["place"])), ModelName(arguments["model"])
    folder = release_name(model, 0).rpartition("/")[0] + "/"
    seen_now = {item.name.removeprefix(folder): item.generation for item in storage.walk(folder)}
    stems = (name.removesuffix(".json") for name in seen_now if seen_before.get(name) != seen_now[name])
    numbers = [int(stem) for stem in stems if stem.isdecimal() and int(stem) > arguments["after"]]
    releases, damaged = read_records(storage, model, numbers)
    for unreadable in damaged.values():
        _logger.warning("skipped: %s", unreadable.reason)
    seen_before.clear()
    seen_before.update(seen_now)
    return [release for _, release in sorted(releases.items()) if release.pruned is None]


def _changed_pointer(arguments: Mapping[str, Any], seen_before: Seen) -> Sequence[LivePointer]:
    """The live pointer, if the live version has changed."""
    pointer = read_pointer(open_storage(BucketUri(arguments["place"])), ModelName(arguments["model"]))
    if pointer.version is None or pointer.version == seen_before.get("live", arguments["after"]):
        return []
    seen_before["live"] = pointer.version
    return [pointer]


LOOKS: Mapping[str, Look] = {
    "checkpoint": _new_checkpoints,
    "version": _new_versions,
    "live": _changed_pointer,
}


def moment(name: str, value: Any) -> str:
    """A time in the form of records, in UTC, of a time or its text; long ago if there is none.

    Raises:
        InvalidRequest: It is not a time.
    """
    if value is None or (isinstance(value, str) and text(name, value) is None):
        return _LONG_AGO
    try:
        parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, OverflowError) as err:
        raise InvalidRequest(
            f"{name}: expected a time such as 2026-01-31T00:00:00Z, got {value!r:.80}. Correct the argument."
        ) from err
