"""Recover the live pointer from the objects that still name the live version.

In this order: the numbered pointers, the copy `live.json`, and the versions in `models.config`, with the
release records for the version before. An object that cannot be read is logged and skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from redraw.errors import InvalidRecord, NewerRecord, ObjectConflict, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.integrity import demand_published
from redraw.publish.bucket.layout import (
    encode_record,
    live_name,
    numbered_live_name,
    serving_config_name,
)
from redraw.publish.events.derive import announce_change
from redraw.publish.live.pointer import copy_pointer, numbers_of, read_numbered
from redraw.publish.live.serving_config import read_served_labels, write_serving_config
from redraw.publish.releases import read_releases
from redraw.publish.requester import name_requester
from redraw.records import LivePointer, PointerChange
from redraw.records.times import now
from redraw.requests import RecoverRequest
from redraw.storage.opening import Storage, open_storage

logger = logging.getLogger(__name__)


def recover_pointer(request: RecoverRequest) -> LivePointer:
    """Find out which version is live, and with `apply` write all objects that name it again.

    Args:
        request: The model, its bucket, and whether to write.

    Returns:
        The recovered pointer. If no history is left, the recovery is itself a change, with an event.

    Raises:
        VersionNotFound: No object names the live version, or that version is missing.
        ObjectConflict: The version's objects have changed since it was published.
        NewerRecord: A newer version of Redraw wrote a pointer.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    storage, model = open_storage(request.bucket), request.model
    numbers = numbers_of(storage, model)
    pointer = next(_candidates(storage, model, numbers), None)
    if pointer is None:
        raise VersionNotFound(
            f"{storage.uri}/{live_name(model)}: found no readable pointer, numbered pointer or"
            f" models.config to recover from. Make a version live: redraw live --model {model} --set"
            " VERSION."
        )
    if pointer.version is not None:
        demand_published(storage, model, pointer.version)
    if pointer.number not in numbers:
        pointer = replace(pointer, number=max([pointer.number, *numbers]) + 1)
    if not request.apply:
        logger.info("%s/%s: nothing is written; --apply writes this pointer", storage.uri, model)
        return pointer
    change = None
    if pointer.version is not None and not pointer.history:
        change = PointerChange(
            version=pointer.version,
            changed_at=now(),
            by=name_requester(None),
            reason="recovered: its history is lost",
        )
        pointer = replace(pointer, history=(change,))
    if pointer.number not in numbers:
        storage.create(numbered_live_name(model, pointer.number), encode_record(pointer))
    copy_pointer(storage, pointer, damaged=True)
    write_serving_config(storage, model, lambda: pointer)
    logger.info("%s/%s: version %s is live", storage.uri, model, pointer.version)
    return announce_change(storage, pointer, change) if change else pointer


def _candidates(storage: Storage, model: ModelName, numbers: list[int]) -> Iterator[LivePointer]:
    """The pointers that can be read from the bucket, the most reliable first."""
    copy = _readable(storage, model, None)
    for number in reversed(numbers):
        if copy is not None and copy.number > number:
            break  # numbers are lost that the copy had
        numbered = _readable(storage, model, number)
        if numbered is not None:
            yield numbered
    if copy is not None:
        yield copy
    labels = _served(storage, model)
    if labels:
        served = LivePointer(
            model=model, version=labels.get("stable"), previous=_before(storage, model, labels), labels=labels
        )
        try:
            # Checked as if it were read from a bucket, because `models.config` may contain anything.
            yield LivePointer.from_json(served.to_json())
        except InvalidRecord as err:
            logger.warning("skipped: %s/%s: %s", storage.uri, serving_config_name(model), err)


def _readable(storage: Storage, model: ModelName, number: int | None) -> LivePointer | None:
    name = live_name(model) if number is None else numbered_live_name(model, number)
    try:
        pointer = read_numbered(storage, model, name, number)
    except NewerRecord:
        raise
    except (InvalidRecord, ObjectConflict) as err:
        logger.warning("skipped: %s", err)
        return None
    logger.info("%s/%s: %s", storage.uri, name, "none" if pointer is None else f"version {pointer.version}")
    return pointer


def _served(storage: Storage, model: ModelName) -> dict[str, int]:
    try:
        return read_served_labels(storage, model)
    except InvalidRecord as err:
        logger.warning("skipped: %s", err)
        return {}


def _before(storage: Storage, model: ModelName, labels: dict[str, int]) -> int | None:
    """The version that was live before, from the release records."""
    releases, _ = read_releases(storage, model)
    pushed = sorted(releases, key=lambda release: release.pushed_at, reverse=True)
    standing = {release.version for release in releases if release.pruned is None}
    candidates = (release.previous for release in pushed if release.previous in standing)
    return next((version for version in candidates if version != labels.get("stable")), None)
