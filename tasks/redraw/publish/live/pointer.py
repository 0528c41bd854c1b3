"""Which version is live: a numbered object for each change, and a copy under one name.

    <model>/live/00000012.json   the pointer after the twelfth change: created where none was, never replaced
    <model>/live.json            a copy of the newest, or of one a little older: where readers begin

A change takes the number after the newest one, and the bucket lets only one of several take it. So a pointer
can be lost only with all of its numbers, and a bucket that lets nobody replace an object can still be used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from redraw.errors import ObjectConflict, StorageForbidden, StorageUnavailable
from redraw.names import ModelName
from redraw.publish.bucket.layout import encode_record, live_folder, live_name, numbered_live_name
from redraw.records import LivePointer
from redraw.storage.opening import AlreadyThere, Changed, Storage
from redraw.storage.pause import pauses

__all__ = ["change_pointer", "copy_pointer", "newest_numbered", "read_pointer"]

logger = logging.getLogger(__name__)

# The changes that a pointer says by itself; those before are in their own numbers' objects.
_SHOWN = 20
# So many numbers are tried after a copy that is behind, before all of them are listed.
_AHEAD = 4


def read_pointer(storage: Storage, model: ModelName) -> LivePointer:
    """The live pointer of a model; its version is None before the first.

    Raises:
        InvalidRecord: It is damaged, or a newer version of Redraw wrote it.
        StorageError: The bucket does not answer.
    """
    content = storage.read(live_name(model))
    if content is None:
        return newest_numbered(storage, model) or LivePointer(model=model, version=None, previous=None)
    pointer = _parsed(storage, model, live_name(model), content)
    for _ in range(_AHEAD):
        newer = _numbered(storage, model, pointer.number + 1)
        if newer is None:
            return pointer
        pointer = newer
    return newest_numbered(storage, model) or pointer


def newest_numbered(storage: Storage, model: ModelName) -> LivePointer | None:
    """The pointer after the last change, by a listing; None where no change has a number."""
    start = live_folder(model)
    stems = (item.name.removeprefix(start).removesuffix(".json") for item in storage.walk(start))
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    return _numbered(storage, model, max(numbers)) if numbers else None


def change_pointer(
    storage: Storage, model: ModelName, change: Callable[[LivePointer], LivePointer]
) -> LivePointer:
    """Change the pointer where nobody else has changed it since it was read, or else try again.

    Args:
        storage: The model bucket.
        model: The definition's name.
        change: Makes the new pointer of the one that stands, or gives that one back to leave it.
            What it looks at in the bucket it sees after the pointer was read: whatever a prune
            does later has changed the pointer, so that this change is refused and made again.

    Returns:
        The pointer as it stands.

    Raises:
        StorageUnavailable: Others kept changing it.
    """
    for pause in pauses():
        pointer = read_pointer(storage, model)
        changed = change(pointer)
        if changed is pointer:
            return pointer
        numbered = replace(changed, number=pointer.number + 1, history=changed.history[-_SHOWN:])
        try:
            storage.create(numbered_live_name(model, numbered.number), encode_record(numbered))
        except AlreadyThere:
            pause()
            continue
        copy_pointer(storage, numbered)
        return numbered
    raise StorageUnavailable(
        f"{storage.uri}/{live_name(model)}: expected to change it, got a change by others each time."
        " Find out who keeps moving the pointer, and run it again."
    )


def copy_pointer(storage: Storage, pointer: LivePointer) -> None:
    """Bring `live.json` up to a pointer, unless it is newer.

    Where it cannot be replaced, as below a retention policy, it stays: readers go on from it by numbers.
    """
    name, content = live_name(pointer.model), encode_record(pointer)
    for pause in pauses():
        try:
            found = storage.read_with_generation(name)
            if found is None:
                storage.create(name, content)
            elif _parsed(storage, pointer.model, name, found[0]).number < pointer.number:
                storage.replace(name, content, found[1])
            return
        except (AlreadyThere, Changed):
            pause()
        except StorageForbidden as err:
            logger.warning("%s/%s stays as it is, and is still read right: %s", storage.uri, name, err)
            return
    raise StorageUnavailable(
        f"{storage.uri}/{name}: expected to change it, got a change by others each time."
        " Find out who keeps writing it, and run it again."
    )


def _numbered(storage: Storage, model: ModelName, number: int) -> LivePointer | None:
    name = numbered_live_name(model, number)
    content = storage.read(name)
    if content is None:
        return None
    pointer = _parsed(storage, model, name, content)
    if pointer.number != number:
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected the pointer of that number, got number {pointer.number}."
            " Find out who wrote it, and remove it."
        )
    return pointer


def _parsed(storage: Storage, model: ModelName, name: str, content: bytes) -> LivePointer:
    pointer = LivePointer.from_text(content, f"{storage.uri}/{name}")
    if pointer.model != model:
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected the pointer of {model}, got that of {pointer.model}."
            " Find out who wrote it, and remove it."
        )
    return pointer
