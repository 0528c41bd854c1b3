"""Keep a version from being pruned, whatever the rules of retention say."""

from __future__ import annotations

from tasks.asking import now, who_asks
from tasks.live.changes import apply_change
from tasks.live.pointer import change_pointer
from tasks.names import check_bucket, check_model_name
from tasks.records import LivePointer, PointerChange
from tasks.requests import PinRequest
from tasks.storage import open_storage
from tasks.whole import demand_published

__all__ = ["pin_version"]


def pin_version(request: PinRequest) -> LivePointer:
    """Pin a published version, or take its pin away.

    Args:
        request: The model, its bucket, the version, and why.

    Returns:
        The live pointer, which holds the pins.

    Raises:
        VersionNotFound: The version was never published, or is pruned.
        ObjectConflict: The version's objects are no longer what was published.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = check_model_name(request.model)
    storage = open_storage(check_bucket(request.bucket))
    change = PointerChange(
        kind="unpin" if request.unpin else "pin",
        version=request.version,
        changed_at=now(),
        by=who_asks(request.by),
        reason=request.reason or "",
    )

    def pinned(pointer: LivePointer) -> LivePointer:
        if not request.unpin:
            demand_published(storage, model, request.version)
        return apply_change(pointer, change)

    return change_pointer(storage, model, pinned)
