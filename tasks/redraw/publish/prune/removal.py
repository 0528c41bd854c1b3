"""The removal of one version, in an order in which no reader meets half a model."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from redraw.errors import StorageForbidden, StorageUnavailable
from redraw.publish.bucket.emptying import empty_folder
from redraw.publish.bucket.layout import encode_record, release_name, reports_folder, version_folder
from redraw.records import Pruned, Release
from redraw.records.results import PrunedVersion
from redraw.records.times import now
from redraw.storage.opening import Changed, Storage
from redraw.storage.pause import pauses

__all__ = ["remove_version"]

logger = logging.getLogger(__name__)


def remove_version(storage: Storage, model: str, going: PrunedVersion, by: str) -> str:
    """Remove all that lies in a version's folder, then its attachments; its record and its claim stay.

    Args:
        storage: The model bucket.
        model: The definition's name.
        going: The version, which the live pointer names as being pruned, and why it goes.
        by: Who asks for it.

    Returns:
        Why it stays, whole, if its objects are protected; else an empty text.

    Raises:
        ObjectConflict: Somebody keeps writing into one of the folders.
        StorageUnavailable: Others keep changing the release record.
    """
    folders = [f"{version_folder(model, going.version)}/", f"{reports_folder(model, going.version)}/"]
    if kept := next((item for folder in folders for item in storage.walk(folder) if item.kept_by), None):
        logger.warning(
            "not pruned %s/%s/%d: %s keeps %s", storage.uri, model, going.version, kept.kept_by, kept.name
        )
        return f"{kept.kept_by} keeps {kept.name}"
    pruned = Pruned(pruned_at=now(), by=by, reason=going.reason)
    try:
        _bury(storage, release_name(model, going.version), pruned)
    except StorageForbidden as err:
        return f"its release record cannot be replaced: {err}"
    for folder in folders:
        empty_folder(storage, folder)
    logger.info("pruned %s/%s/%d: %s", storage.uri, model, going.version, going.reason)
    return ""


def _bury(storage: Storage, name: str, pruned: Pruned) -> None:
    """Say in the release record that the version is pruned, before anything of it is removed."""
    for pause in pauses():
        found = storage.read_with_generation(name)
        if found is None:
            return
        release = Release.from_text(found[0], f"{storage.uri}/{name}")
        if release.pruned is not None:
            return
        with contextlib.suppress(Changed):
            storage.replace(name, encode_record(replace(release, pruned=pruned)), found[1])
            return
        pause()
    raise StorageUnavailable(
        f"{storage.uri}/{name}: expected to change it, got a change by others each time."
        " Find out who changes it, and run it again."
    )
