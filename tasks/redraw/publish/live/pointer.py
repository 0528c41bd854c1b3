"""The object that says which version is live: read, and changed by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from redraw.errors import StorageUnavailable
from redraw.names import ModelName
from redraw.publish.bucket.layout import encode_record, live_name
from redraw.records import LivePointer
from redraw.records.json_text import RECORD_BYTES
from redraw.storage.opening import AlreadyThere, Changed, Storage
from redraw.storage.pause import pauses

__all__ = ["change_pointer", "read_pointer"]


def read_pointer(storage: Storage, model: ModelName) -> LivePointer:
    """The live pointer of a model; its version is None before the first."""
    return _read(storage, model)[0]


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
        pointer, generation = _read(storage, model)
        changed = change(pointer)
        if changed is pointer or _written(storage, changed, generation):
            return changed
        pause()
    raise StorageUnavailable(
        f"{storage.uri}/{live_name(model)}: expected to change it, got a change by others each time."
        " Find out who keeps moving the pointer, and run it again."
    )


def _read(storage: Storage, model: ModelName) -> tuple[LivePointer, int]:
    found = storage.read_with_generation(live_name(model))
    if found is None:
        return LivePointer(model=model, version=None, previous=None), 0
    pointer = LivePointer.from_text(found[0], f"{storage.uri}/{live_name(model)}")
    return pointer, found[1]


def _written(storage: Storage, pointer: LivePointer, generation: int) -> bool:
    """Write it where nobody else has in the meantime."""
    name, content = live_name(pointer.model), encode_record(_shortened(pointer))
    try:
        if generation:
            storage.replace(name, content, generation)
        else:
            storage.create(name, content)
    except (AlreadyThere, Changed):
        return False
    return True


def _shortened(pointer: LivePointer) -> LivePointer:
    """The pointer without its oldest changes, if it would grow to what is no longer read."""
    while len(pointer.to_bytes()) > RECORD_BYTES // 2 and pointer.history:
        pointer = replace(pointer, history=pointer.history[len(pointer.history) // 4 + 1 :])
    return pointer
