"""What there is to wait for, as a look at a bucket: the records that came since."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from redraw.checkpoint.catalogue.listing import list_checkpoints
from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.publish.bucket.layout import list_versions, read_records
from redraw.publish.live.pointer import read_pointer
from redraw.records import Checkpoint, LivePointer, Record, Release
from redraw.storage.opening import open_storage
from redraw.uri import BucketUri, Uri
from redraw_airflow.operators.arguments import text
from redraw_airflow.stages.credentials import using_connection

__all__ = ["LOOKS", "look", "moment"]

_logger = logging.getLogger(__name__)

_LONG_AGO = "1970-01-01T00:00:00Z"

Look = Callable[[Mapping[str, Any]], Sequence[Record]]


def look(event: str, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Look once.

    Args:
        event: One of `LOOKS`.
        arguments: JSON values: `model`, `place`, `after`, `gcp_conn_id`.

    Returns:
        The records that came after `after`, the oldest first, as JSON values.

    Raises:
        StorageError: The bucket or folder cannot be read.
        InvalidRecord: What lies there is no record.
    """
    with using_connection(arguments["gcp_conn_id"]):
        return [record.to_json() for record in LOOKS[event](arguments)]


def _new_checkpoints(arguments: Mapping[str, Any]) -> Sequence[Checkpoint]:
    """The checkpoints whose weights were trained after a time."""
    catalogue, model, after = Uri(arguments["place"]), ModelName(arguments["model"]), arguments["after"]
    found = [one for one in list_checkpoints(catalogue, model, trained_from=after) if one.trained_at > after]
    return sorted(found, key=lambda one: (one.trained_at, one.step, one.digest))


def _new_versions(arguments: Mapping[str, Any]) -> Sequence[Release]:
    """The releases above a version; of one that was pruned, or is damaged, there is none."""
    storage, model = open_storage(BucketUri(arguments["place"])), ModelName(arguments["model"])
    numbers = [number for number in list_versions(storage, model) if number > arguments["after"]]
    releases, unreadable = read_records(storage, model, numbers)
    for record in unreadable.values():
        _logger.warning("passed over: %s", record.reason)
    return [release for _, release in sorted(releases.items()) if release.pruned is None]


def _changed_pointer(arguments: Mapping[str, Any]) -> Sequence[LivePointer]:
    """The live pointer, if another version than the known one is live."""
    pointer = read_pointer(open_storage(BucketUri(arguments["place"])), ModelName(arguments["model"]))
    changed = pointer.version is not None and pointer.version != arguments["after"]
    return [pointer] if changed else []


LOOKS: Mapping[str, Look] = {
    "checkpoint": _new_checkpoints,
    "version": _new_versions,
    "live": _changed_pointer,
}


def moment(name: str, value: Any) -> str:
    """A time as records have it, in UTC, of a time or its text; long ago where there is none.

    Raises:
        InvalidRequest: It is no time.
    """
    if value is None or (isinstance(value, str) and text(name, value) is None):
        return _LONG_AGO
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, OverflowError) as err:
        raise InvalidRequest(
            f"{name}: expected a time as 2026-01-31T00:00:00Z, got {value!r:.80}. Correct the argument."
        ) from err
