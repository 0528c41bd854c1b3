"""Change which version is live, and bring `models.config` and the deployments next to it up to it.

The pointer moves first. If `models.config` cannot follow, the command fails, and any next one repairs it.
"""

from __future__ import annotations

import logging

from redraw.errors import InvalidRecord, ObjectConflict, StorageError, StorageForbidden, VersionNotFound
from redraw.names import ModelName
from redraw.publish.asking import who_asks
from redraw.publish.bucket.integrity import demand_published
from redraw.publish.bucket.layout import REVISIONS, live_name, read_release
from redraw.publish.bucket.verified import demand_verified
from redraw.publish.events.derive import announce_change
from redraw.publish.live import loading
from redraw.publish.live.pointer import change_pointer, copy_pointer, read_pointer
from redraw.publish.live.rules import apply_change
from redraw.publish.live.serving_config import write_serving_config
from redraw.records import LivePointer, PointerChange, PointerChangeKind, Release
from redraw.records.times import now
from redraw.requests import LiveRequest
from redraw.storage.opening import Storage, open_storage

__all__ = ["change_live", "move_pointer", "read_pointer"]

_logger = logging.getLogger(__name__)


def change_live(request: LiveRequest) -> LivePointer:
    """Show which version is live, make another one live, or move a label.

    A version is taken only if it is whole, signed where a public key is given, and loadable.
    Nothing is ever deleted, so each move can be taken back.

    Args:
        request: The model, its bucket, and what to change, if anything.

    Returns:
        The pointer as it stands.

    Raises:
        VersionNotFound: The version was never published, not to its end, or is pruned; or
            there is none to go back to.
        ObjectConflict: The version's objects are no longer what was published.
        NotLoadable: A server would not load it.
        SignatureInvalid: A public key is given, and the version is not signed with its private one.
        OlderThanLive: The version was trained before the live one, and no reason says why.
        VersionRejected: Somebody rolled back from the version, and no reason says why it may be live again.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model = request.model
    storage = open_storage(request.bucket)
    pointer = read_pointer(storage, model)
    change = _asked(request, storage, pointer)
    if change is None:
        _repair(storage, pointer)
        return pointer
    # Asked first what is quick to tell: whether the change may be made, and whether there is one.
    if _applied(storage, pointer, change) is not pointer and change.kind != "unlabel":
        loading.demand_loadable(storage, model, change.version, request.public_key)
    leaves = pointer.version if change.kind == "rollback" else None
    moved = move_pointer(storage, model, change, request.public_key, leaves)
    return announce_change(storage, moved, change)


def move_pointer(
    storage: Storage,
    model: ModelName,
    change: PointerChange,
    public_key: str | None = None,
    leaves: int | None = None,
) -> LivePointer:
    """Change which version is live, or a label, where the version is published and whole.

    Args:
        storage: The model bucket.
        model: The definition's name.
        change: What is asked for; nothing moves where it is so already.
        public_key: File of the key that must confirm the version's signature; by default
            the one that REDRAW_VERIFY_KEY names. With one, every byte is read.
        leaves: The live version that is left by a roll-back; None if any may be.

    Returns:
        The pointer as it stands.

    Raises:
        ObjectConflict: Another version than the one to leave is live by now.
        StorageUnavailable: Others kept changing the pointer.
        RedrawError: As `change_live`.
    """
    if change.kind != "unlabel":
        demand_verified(storage, model, change.version, public_key, content=True)

    def verified(pointer: LivePointer) -> LivePointer:
        if leaves is not None and pointer.version not in (leaves, change.version):
            raise _moved(storage, pointer, leaves)
        changed = _applied(storage, pointer, change)
        if changed is not pointer and change.kind != "unlabel":
            demand_published(storage, model, change.version)
        return changed

    pointer = change_pointer(storage, model, verified)
    try:
        write_serving_config(storage, model, lambda: read_pointer(storage, model))
    except StorageError as err:
        raise type(err)(
            f"{storage.uri}/{model}: version {pointer.version} is live, but models.config could not follow,"
            f" or a deployment file next to it: {err} Servers that read these files keep their version"
            " until the next 'redraw live'; a mirror follows the pointer."
        ) from err
    _logger.info("%s/%s: %s; before it %s", storage.uri, model, _shown(pointer), pointer.previous)
    return pointer


def _applied(storage: Storage, pointer: LivePointer, change: PointerChange) -> LivePointer:
    older = is_older_in_second(storage, pointer.model, change.version, pointer.version)
    return apply_change(pointer, change, older=older)


def is_older_in_second(storage: Storage, model: str, version: int, live: int | None) -> bool:
    """Whether a version has older weights than the live one, and is of the same second.

    Another revision of the same checkpoint is not older.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: The version.
        live: The live one, if there is one.

    Raises:
        StorageError: The bucket does not answer.
    """
    if live is None or version // REVISIONS != live // REVISIONS or version == live:
        return False
    order, live_order = _order(storage, model, version), _order(storage, model, live)
    return order is not None and live_order is not None and order < live_order


def _order(storage: Storage, model: str, version: int) -> tuple[int, str] | None:
    """Step, then digest; None of a version without a readable record, which is checked elsewhere."""
    try:
        release: Release | None = read_release(storage, model, version)
    except InvalidRecord:
        return None
    return None if release is None else (release.checkpoint.step, release.checkpoint.digest)


def _asked(request: LiveRequest, storage: Storage, pointer: LivePointer) -> PointerChange | None:
    """The change that is asked for; which version it means is settled once, however often it is tried."""
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
        by=who_asks(request.by),
        reason=request.reason or "",
        label=request.label or "" if kind in {"label", "unlabel"} else "",
        allow_older=request.allow_older or "",
        allow_rejected=request.allow_rejected or "",
    )


def _version_before(request: LiveRequest, storage: Storage, pointer: LivePointer) -> int | None:
    """Where a roll-back leads; where it led if it has been made already, perhaps by a try that died."""
    if request.from_version not in (None, pointer.version):
        if pointer.previous == request.from_version and str(request.from_version) in pointer.rejected:
            return pointer.version
        raise _moved(storage, pointer, request.from_version)
    if pointer.previous is None:
        raise VersionNotFound(
            f"{storage.uri}/{live_name(pointer.model)}: expected a version that was live before, got none."
            " Name the version with --set."
        )
    return pointer.previous


def _moved(storage: Storage, pointer: LivePointer, leaves: int | None) -> ObjectConflict:
    return ObjectConflict(
        f"{storage.uri}/{live_name(pointer.model)}: expected the live version {leaves}, got"
        f" {pointer.version}: somebody has moved it. Look at the history, and say which version to leave."
    )


def _repair(storage: Storage, pointer: LivePointer) -> None:
    """Bring `models.config` and `live.json` up to the pointer, if a change was stopped in between."""
    try:
        if pointer.number:
            copy_pointer(storage, pointer)
        write_serving_config(storage, pointer.model, lambda: read_pointer(storage, pointer.model))
    except StorageForbidden as err:
        _logger.warning("models.config may name another version than the live one: %s", err)


def _shown(pointer: LivePointer) -> str:
    return ", ".join(f"{label} is {version}" for label, version in sorted(pointer.labels.items()))
