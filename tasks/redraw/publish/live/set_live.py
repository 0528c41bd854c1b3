"""Change which version is live, and update `models.config` and the deployments next to it.

The pointer changes first. If `models.config` cannot be updated, the command fails; the next one repairs it.
"""

from __future__ import annotations

import logging

from redraw.errors import InvalidRecord, ObjectConflict, StorageError, StorageForbidden, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.integrity import demand_published
from redraw.publish.bucket.layout import REVISIONS, live_name, read_release
from redraw.publish.bucket.verified import demand_verified
from redraw.publish.events.derive import announce_change
from redraw.publish.live import loading
from redraw.publish.live.pointer import change_pointer, copy_pointer, read_pointer
from redraw.publish.live.rules import apply_change
from redraw.publish.live.serving_config import write_serving_config
from redraw.publish.requester import name_requester
from redraw.records import LivePointer, PointerChange, PointerChangeKind, Release
from redraw.records.times import now
from redraw.requests import LiveRequest
from redraw.storage.opening import Storage, open_storage

__all__ = ["change_live", "move_pointer", "read_pointer"]

_logger = logging.getLogger(__name__)


def change_live(request: LiveRequest) -> LivePointer:
    """Show which version is live, make another one live, or move a label.

    A version is accepted only if it is complete, signed if a public key is given, and loadable.
    Nothing is deleted, so each change can be undone.

    Args:
        request: The model, its bucket, and the change, if any.

    Returns:
        The current pointer.

    Raises:
        VersionNotFound: The version was never published, its push did not finish, or it is pruned; or there
            is no version to roll back to.
        ObjectConflict: The version's objects have changed since it was published.
        NotLoadable: A server would not load it.
        SignatureInvalid: A public key is given, and the version is not signed with its private key.
        OlderThanLive: The version was trained before the live one, and the request has no reason.
        VersionRejected: The version was rolled back before, and the request has no reason to allow it.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    pointer = read_pointer(storage, model)
    change = _requested_change(request, storage, pointer)
    if change is None:
        _repair(storage, pointer)
        return pointer
    # The quick check comes first: whether the change is allowed, and whether it changes anything.
    if _applied(storage, pointer, change) is not pointer and change.kind != "unlabel":
        loading.demand_loadable(storage, model, change.version, request.public_key)
    leaves = pointer.version if change.kind == "rollback" else None
    changed = move_pointer(storage, model, change, request.public_key, leaves)
    return announce_change(storage, changed, change)


def move_pointer(
    storage: Storage,
    model: ModelName,
    change: PointerChange,
    public_key: str | None = None,
    leaves: int | None = None,
) -> LivePointer:
    """Change which version is live, or a label, if the version is published and complete.

    Args:
        storage: The model bucket.
        model: The definition's name.
        change: The requested change; nothing happens if it has been made already.
        public_key: File of the key that must confirm the version's signature; by default
            the one that REDRAW_VERIFY_KEY names. With a key, every byte is read.
        leaves: The version that a rollback leaves; None if any may be live.

    Returns:
        The current pointer.

    Raises:
        ObjectConflict: Another version than `leaves` is live.
        StorageUnavailable: Others kept changing the pointer.
        RedrawError: The version cannot be made live, or the storage failed.
    """
    if change.kind != "unlabel":
        demand_verified(storage, model, change.version, public_key, content=True)

    def verified(pointer: LivePointer) -> LivePointer:
        if leaves is not None and pointer.version not in (leaves, change.version):
            raise _unexpected_live(storage, pointer, leaves)
        changed = _applied(storage, pointer, change)
        if changed is not pointer and change.kind != "unlabel":
            demand_published(storage, model, change.version)
        return changed

    pointer = change_pointer(storage, model, verified)
    try:
        write_serving_config(storage, model, lambda: read_pointer(storage, model))
    except StorageError as err:
        raise type(err)(
            f"{storage.uri}/{model}: version {pointer.version} is live, but models.config or a deployment"
            f" file next to it could not be written: {err} Servers that read these files keep the old"
            f" version. Run 'redraw live --set {pointer.version}' again."
        ) from err
    _logger.info("%s/%s: %s; before it %s", storage.uri, model, _format_labels(pointer), pointer.previous)
    return pointer


def _applied(storage: Storage, pointer: LivePointer, change: PointerChange) -> LivePointer:
    older = is_older_in_second(storage, pointer.model, change.version, pointer.version)
    return apply_change(pointer, change, older=older)


def is_older_in_second(storage: Storage, model: str, version: int, live: int | None) -> bool:
    """Whether a version has older weights than the live one of the same second.

    Another revision of the same checkpoint is not older.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: The version.
        live: The live version, if any.

    Raises:
        StorageError: The bucket does not answer.
    """
    if live is None or version // REVISIONS != live // REVISIONS or version == live:
        return False
    order, live_order = _order(storage, model, version), _order(storage, model, live)
    return order is not None and live_order is not None and order < live_order


def _order(storage: Storage, model: str, version: int) -> tuple[int, str] | None:
    """Step, then digest; None if the version has no readable record, which is checked elsewhere."""
    try:
        release: Release | None = read_release(storage, model, version)
    except InvalidRecord:
        return None
    return None if release is None else (release.checkpoint.step, release.checkpoint.digest)


def _requested_change(request: LiveRequest, storage: Storage, pointer: LivePointer) -> PointerChange | None:
    """The requested change; its version is decided once, even if the change is tried several times."""
    kind: PointerChangeKind = "live"
    version = request.set
    if request.previous:
        kind, version = "rollback", _version_before(request, storage, pointer)
    elif request.remove_label:
        kind, version = "unlabel", pointer.labels.get(request.label or "")
    elif request.label == "canary":
        kind = "label"
    if version is None:
        return None
    return PointerChange(
        kind=kind,
        version=version,
        changed_at=now(),
        by=name_requester(request.by),
        reason=request.reason or "",
        label=request.label or "" if kind in {"label", "unlabel"} else "",
        allow_older=request.allow_older or "",
        allow_rejected=request.allow_rejected or "",
    )


def _version_before(request: LiveRequest, storage: Storage, pointer: LivePointer) -> int | None:
    """The version that a rollback returns to, also if an earlier try has made the change already."""
    if request.from_version not in (None, pointer.version):
        if pointer.previous == request.from_version and str(request.from_version) in pointer.rejected:
            return pointer.version
        raise _unexpected_live(storage, pointer, request.from_version)
    if pointer.previous is None:
        raise VersionNotFound(
            f"{storage.uri}/{live_name(pointer.model)}: no other version was live before. Name the version"
            " with --set VERSION."
        )
    return pointer.previous


def _unexpected_live(storage: Storage, pointer: LivePointer, leaves: int | None) -> ObjectConflict:
    return ObjectConflict(
        f"{storage.uri}/{live_name(pointer.model)}: expected the live version {leaves}, got"
        f" {pointer.version}: the live version was changed in the meantime. Look at the history with"
        " 'redraw live', then set --from to the version to leave."
    )


def _repair(storage: Storage, pointer: LivePointer) -> None:
    """Update `models.config` and `live.json` to the pointer, in case a change was interrupted."""
    try:
        if pointer.number:
            copy_pointer(storage, pointer)
        write_serving_config(storage, pointer.model, lambda: read_pointer(storage, pointer.model))
    except StorageForbidden as err:
        _logger.warning("models.config may name another version than the live one: %s", err)


def _format_labels(pointer: LivePointer) -> str:
    return ", ".join(f"{label} is {version}" for label, version in sorted(pointer.labels.items()))
