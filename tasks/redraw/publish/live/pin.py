"""Pin a version, so that no retention rule prunes it."""

from __future__ import annotations

from redraw.publish.bucket.integrity import demand_published
from redraw.publish.events.derive import announce_change
from redraw.publish.live.pointer import change_pointer
from redraw.publish.live.rules import apply_change
from redraw.publish.requester import name_requester
from redraw.records import LivePointer, PointerChange
from redraw.records.times import now
from redraw.requests import PinRequest
from redraw.storage.opening import open_storage


def pin_version(request: PinRequest) -> LivePointer:
    """Pin a published version, or remove its pin.

    Args:
        request: The model, its bucket, the version, and the reason.

    Returns:
        The live pointer, which holds the pins.

    Raises:
        VersionNotFound: The version was never published, or is pruned.
        ObjectConflict: The version's objects have changed since it was published.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    change = PointerChange(
        kind="unpin" if request.unpin else "pin",
        version=request.version,
        changed_at=now(),
        by=name_requester(request.by),
        reason=request.reason or "",
    )

    def pinned(pointer: LivePointer) -> LivePointer:
        if not request.unpin:
            demand_published(storage, model, request.version)
        return apply_change(pointer, change)

    return announce_change(storage, change_pointer(storage, model, pinned), change)
