"""Which version is live: one object, changed by compare-and-set.

live.json      the live version, the one before, and every move
models.config  the same for TensorFlow Serving, always derived from live.json
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from tasks.errors import OlderThanLive, StorageUnavailable
from tasks.live.pause import pauses
from tasks.live.serving_config import write_serving_config
from tasks.names import check_bucket, check_model_name
from tasks.published import encode_record, live_name, trained_before
from tasks.records import LivePointer, PointerChange
from tasks.requests import LiveRequest
from tasks.storage import AlreadyThere, Changed, Storage, open_storage
from tasks.whole import demand_published

__all__ = ["change_live", "move_pointer", "read_pointer"]

_logger = logging.getLogger(__name__)


def change_live(request: LiveRequest) -> LivePointer:
    """Show which version is live, or make another one live.

    Args:
        request: The model, its bucket, and the version to make live, if any.

    Returns:
        The pointer as it stands.

    Raises:
        VersionNotFound: The version was never published, or not to its end.
        ObjectConflict: The version's objects are no longer what was published.
        OlderThanLive: The version was trained before the live one.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = check_model_name(request.model)
    storage = open_storage(check_bucket(request.bucket))
    if request.set is None:
        return read_pointer(storage, model)
    demand_published(storage, model, request.set)
    return move_pointer(storage, model, request.set)


def read_pointer(storage: Storage, model: str) -> LivePointer:
    """The live pointer of a model; its version is None before the first."""
    return _read(storage, model)[0]


def move_pointer(storage: Storage, model: str, version: int) -> LivePointer:
    """Make a version live that is known to be published and whole.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: What to make live; nothing moves where it is live already.

    Returns:
        The pointer as it stands.

    Raises:
        OlderThanLive: The version was trained before the live one.
        StorageUnavailable: Others kept changing the pointer.
    """
    for pause in pauses():
        pointer, generation = _read(storage, model)
        moved = _moved(storage, pointer, version)
        if moved is pointer or _written(storage, moved, generation):
            write_serving_config(storage, model, lambda: read_pointer(storage, model).version)
            _logger.info(
                "%s/%s: version %d is live, before it %s", storage.uri, model, version, moved.previous
            )
            return moved
        pause()
    raise StorageUnavailable(
        f"{storage.uri}/{live_name(model)}: expected to change it, got a change by others each time."
        " Find out who keeps moving the pointer, and run it again."
    )


def _read(storage: Storage, model: str) -> tuple[LivePointer, int]:
    found = storage.read_with_generation(live_name(model))
    if found is None:
        return LivePointer(model=model, version=None, previous=None), 0
    pointer = LivePointer.from_text(found[0], f"{storage.uri}/{live_name(model)}")
    return pointer, found[1]


def _moved(storage: Storage, pointer: LivePointer, version: int) -> LivePointer:
    if pointer.version == version:
        return pointer
    if pointer.version is not None and trained_before(version, pointer.version):
        raise OlderThanLive(
            f"{storage.uri}/{live_name(pointer.model)}: expected a version trained no earlier than the live"
            f" {pointer.version}, got {version}. Choose a newer one, or train again."
        )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return LivePointer(
        model=pointer.model,
        version=version,
        previous=pointer.version,
        history=(*pointer.history, PointerChange(version=version, changed_at=now)),
    )


def _written(storage: Storage, pointer: LivePointer, generation: int) -> bool:
    """Write it where nobody else has in the meantime."""
    name = live_name(pointer.model)
    try:
        if generation:
            storage.replace(name, encode_record(pointer), generation)
        else:
            storage.create(name, encode_record(pointer))
    except (AlreadyThere, Changed):
        return False
    return True
