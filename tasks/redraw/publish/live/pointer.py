"""The live pointer: a numbered object for each change, and a copy under a fixed name.

    <model>/live/00000012.json   the pointer after the twelfth change: created once, never replaced
    <model>/live.json            a copy of the newest or a slightly older pointer, which readers read first

A change takes the next number; of several writers, the bucket lets only one create that object. So the
pointer is lost only with all of its numbered objects, and a bucket that forbids replacing objects still
works.
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

logger = logging.getLogger(__name__)

# How many changes a pointer lists; earlier ones are in the objects of their own numbers.
_SHOWN = 20
# How many numbers after an outdated copy are tried before all of them are listed.
_AHEAD = 4
_DIGITS = 8


def read_pointer(storage: Storage, model: ModelName, cached: LivePointer | None = None) -> LivePointer:
    """The live pointer of a model; its version is None before the first.

    Args:
        storage: The model bucket.
        model: The definition's name.
        cached: The pointer that was read a moment ago; only later ones are looked up.

    Raises:
        InvalidRecord: It is damaged, or a newer version of Redraw wrote it.
        StorageError: The bucket does not answer.
    """
    return _read(storage, model, cached)[0]


def _read(storage: Storage, model: ModelName, cached: LivePointer | None = None) -> tuple[LivePointer, bool]:
    """The pointer, and whether its copy is up to date."""
    content = storage.read(live_name(model)) if cached is None else b""
    if content is None:
        newest = _newest(storage, model)
        return newest or LivePointer(model=model, version=None, previous=None), newest is None
    copy = pointer = cached or _parsed(storage, model, live_name(model), content, None)
    for _ in range(_AHEAD):
        number = pointer.number + 1
        newer = read_numbered(storage, model, numbered_live_name(model, number), number)
        if newer is None:
            return pointer, pointer is copy
        pointer = newer
    return _newest(storage, model) or pointer, False


def numbers_of(storage: Storage, model: ModelName) -> list[int]:
    """The numbers of a model's pointers from a listing, sorted."""
    start = live_folder(model)
    stems = (item.name.removeprefix(start).removesuffix(".json") for item in storage.walk(start))
    return sorted(int(stem) for stem in stems if len(stem) == _DIGITS and stem.isdecimal())


def read_numbered(storage: Storage, model: ModelName, name: str, number: int | None) -> LivePointer | None:
    """The pointer in one object; None if there is no such object.

    Args:
        storage: The model bucket.
        model: The definition's name.
        name: The object's.
        number: The number that it must have; None if any is valid.

    Raises:
        InvalidRecord: It is not a pointer.
        ObjectConflict: It is the pointer of another model or number.
    """
    content = storage.read(name)
    return None if content is None else _parsed(storage, model, name, content, number)


def change_pointer(
    storage: Storage, model: ModelName, change: Callable[[LivePointer], LivePointer]
) -> LivePointer:
    """Change the pointer; if another writer changed it meanwhile, read it and try again.

    Args:
        storage: The model bucket.
        model: The definition's name.
        change: Takes the current pointer and returns the new one, or the same one to change nothing. It
            reads the bucket after the pointer was read: a prune that comes later changes the pointer first,
            so this change is refused and tried again.

    Returns:
        The current pointer.

    Raises:
        StorageUnavailable: Others kept changing it.
    """
    for pause in pauses():
        pointer, copied = _read(storage, model)
        changed = change(pointer)
        if changed is pointer:
            if not copied:  # the process that made the change was stopped
                copy_pointer(storage, pointer)
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
        f"{storage.uri}/{live_name(model)}: could not change the pointer, because another process changed"
        " it on every try. Wait until that process ends, then run the same command again."
    )


def copy_pointer(storage: Storage, pointer: LivePointer, *, damaged: bool = False) -> None:
    """Write a pointer to `live.json`, unless that is newer.

    If a retention policy forbids replacing it, it stays, and readers continue from it by numbers.

    Args:
        storage: The model bucket.
        pointer: The pointer to copy.
        damaged: Whether to replace `live.json` even if it cannot be read.

    Raises:
        InvalidRecord: It cannot be read.
        StorageUnavailable: Others kept changing it.
    """
    name, content = live_name(pointer.model), encode_record(pointer)
    for pause in pauses():
        try:
            stored = storage.read_with_generation(name)
            if stored is None:
                storage.create(name, content)
            elif damaged or _parsed(storage, pointer.model, name, stored[0], None).number < pointer.number:
                storage.replace(name, content, stored[1])
            return
        except (AlreadyThere, Changed):
            pause()
        except StorageForbidden as err:
            logger.warning("%s/%s stays as it is, and is still read right: %s", storage.uri, name, err)
            return
    raise StorageUnavailable(
        f"{storage.uri}/{name}: could not change the object, because another process changed it on every"
        " try. Wait until that process ends, then run the same command again."
    )


def _newest(storage: Storage, model: ModelName) -> LivePointer | None:
    numbers = numbers_of(storage, model)
    if not numbers:
        return None
    return read_numbered(storage, model, numbered_live_name(model, numbers[-1]), numbers[-1])


def _parsed(storage: Storage, model: ModelName, name: str, content: bytes, number: int | None) -> LivePointer:
    pointer = LivePointer.from_text(content, f"{storage.uri}/{name}").stored()
    if pointer.model != model or number not in (None, pointer.number):
        expected = model if number is None else f"{model} after change {number}"
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected the pointer of {expected}, got the pointer of {pointer.model}"
            f" after change {pointer.number}. Remove the copied object."
        )
    return pointer
