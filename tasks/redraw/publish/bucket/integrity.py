"""Check that a version is complete, and that its objects are the published ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from redraw.errors import ObjectConflict, StorageUnavailable, VersionNotFound
from redraw.publish.bucket.layout import (
    Claim,
    attachment_name,
    list_versions,
    read_claim,
    read_release,
    release_name,
    version_folder,
)
from redraw.records import Release
from redraw.records.files import SIGNATURE_FILE, ListedFile
from redraw.records.json_text import RECORD_BYTES
from redraw.storage.opening import (
    Absent,
    Changed,
    Storage,
    StoredObject,
    in_parallel,
    removal_command,
    streams_for,
)


def demand_no_conflict(storage: Storage, claim: Claim) -> dict[str, StoredObject]:
    """Compare the objects in a version's folder with the claim's manifest.

    Returns:
        The objects of the manifest that are complete, by their names in it; the others are missing. The
        folder may also have a signature.

    Raises:
        ObjectConflict: The folder has an object that is not in the manifest, or has other content; the
            message names it.
    """
    start = version_folder(claim.model, claim.version) + "/"
    expected = {entry.name: entry for entry in claim.manifest}
    present = {}
    for item in storage.list(start):
        name = item.name.removeprefix(start)
        if name not in expected and name == SIGNATURE_FILE and item.size <= RECORD_BYTES:
            continue
        if name not in expected:
            raise ObjectConflict(
                f"{storage.uri}/{item.name}: expected only the {len(expected)} objects of the version's"
                " manifest in its folder, got this extra object. If no one needs it, remove it:"
                f" {removal_command(f'{storage.uri}/{item.name}', item.generation)}"
            )
        _demand_equal(storage, item, expected[name])
        present[name] = item
    return present


def demand_whole(storage: Storage, claim: Claim) -> dict[str, int]:
    """Demand that a version's folder has exactly the objects of its manifest.

    Returns:
        Each object's generation, by its name in the manifest.

    Raises:
        ObjectConflict: An object is missing, has other content, or is not in the manifest.
    """
    present = demand_no_conflict(storage, claim)
    missing = sorted({entry.name for entry in claim.manifest} - set(present))
    if missing:
        folder = version_folder(claim.model, claim.version)
        raise ObjectConflict(
            f"{storage.uri}/{folder}/{missing[0]}: expected the {len(claim.manifest)} objects of the"
            f" version's manifest, found {len(claim.manifest) - len(missing)}. Push the same export again to"
            " complete the version."
        )
    return {name: item.generation for name, item in sorted(present.items())}


def read_published(storage: Storage, model: str, version: int) -> tuple[Release, Claim]:
    """The records of a published version; its objects are not checked.

    Returns:
        Its release record and its claim.

    Raises:
        VersionNotFound: It was never published, its push did not finish, or it has been pruned.
    """
    release = read_release(storage, model, version)
    claim = read_claim(storage, model, version)
    where = f"{storage.uri}/{version_folder(model, version)}"
    if release is None or claim is None:
        newest = ", ".join(map(str, list_versions(storage, model)[:5])) or "none"
        raise VersionNotFound(
            f"{where}: expected a published version, found none with this number; the newest are {newest}."
            " Choose one of these."
        )
    if release.pruned is not None:
        raise VersionNotFound(
            f"{where}: expected a published version, but {release.pruned.by} pruned this version at"
            f" {release.pruned.pruned_at}. Choose another version, or push the export again as a new"
            " revision."
        )
    return release, claim


def demand_published(storage: Storage, model: str, version: int) -> tuple[Release, Claim]:
    """The records of a version that is published and complete.

    Returns:
        Its release record and its claim.

    Raises:
        VersionNotFound: It was never published, its push did not finish, or it has been pruned.
        ObjectConflict: Its objects are no longer what was published.
    """
    release, claim = read_published(storage, model, version)
    if release.digest != claim.digest:
        raise ObjectConflict(
            f"{storage.uri}/{release_name(model, version)}: expected the digest of the version's claim,"
            f" {claim.digest}, got {release.digest}. One of the two objects was changed. Push the export"
            " again."
        )
    _demand_same_writes(release, demand_whole(storage, claim))
    return release, claim


def _demand_equal(storage: Storage, item: StoredObject, expected: ListedFile) -> None:
    if (item.size, item.crc32c) != (expected.size, expected.crc32c):
        raise ObjectConflict(
            f"{storage.uri}/{item.name}: expected {expected.size} bytes with crc32c {expected.crc32c:08x},"
            f" got {item.size} with {item.crc32c!r}. Push the same export again after you have removed this"
            f" object: {removal_command(f'{storage.uri}/{item.name}', item.generation)}"
        )


def _demand_same_writes(release: Release, generations: dict[str, int]) -> None:
    for name, generation in generations.items():
        expected = release.generations.get(name)
        if generation != expected:
            raise ObjectConflict(
                f"{release.uri}/{name}: expected generation {expected}, as published, got {generation}: the"
                " object was written again. To accept the new object, push the same export again."
            )


# Bytes of one request: a few blocks are in memory at once, and a large model takes some hundred requests.
_BLOCK = 8 << 20


def demand_content(storage: Storage, claim: Claim) -> int:
    """Read every object of a version and demand that its SHA-256 is the manifest's.

    A checksum of 32 bits detects damage, but no attack: anyone who may write to the bucket can make other
    bytes with the same crc32c.

    Returns:
        The number of bytes read.

    Raises:
        ObjectConflict: An object has other bytes.
        StorageUnavailable: An object changed while it was read.
    """
    folder = version_folder(claim.model, claim.version)
    return _read_all(storage, {f"{folder}/{entry.name}": entry for entry in claim.manifest})


def demand_attachments(storage: Storage, release: Release, names: Iterable[str]) -> int:
    """Read attachments of a version and check the objects' names and SHA-256 against its record.

    Args:
        storage: The model bucket.
        release: The version's record.
        names: Which of the record's attachments to read.

    Returns:
        The number of bytes read.

    Raises:
        ObjectConflict: An attachment is missing, has other bytes, or belongs to another version.
        StorageUnavailable: One changed while it was read.
    """
    entries = {name: release.attachments[name] for name in names}
    for name, entry in entries.items():
        expected = attachment_name(release.model, release.version, name, entry.sha256)
        if entry.name != expected:
            raise ObjectConflict(
                f"{release.uri}: attachment {name!r}: expected the object {expected}, got {entry.name}. The"
                " release record was changed. Do not serve this version: make another version live."
            )
    return _read_all(storage, {entry.name: entry for entry in entries.values()})


def _read_all(storage: Storage, objects: Mapping[str, ListedFile]) -> int:
    """Check each object against its entry in the list; returns the number of bytes read."""
    streams = streams_for(entry.size for entry in objects.values())
    return sum(in_parallel(lambda name: _read(storage, name, objects[name]), objects, streams))


def _read(storage: Storage, name: str, entry: ListedFile) -> int:
    item = storage.stat(name)
    digest, size = hashlib.sha256(), 0
    try:
        while (
            item and size < item.size and (block := storage.read_range(name, size, _BLOCK, item.generation))
        ):
            digest.update(block)
            size += len(block)
    except (Absent, Changed) as err:
        raise StorageUnavailable(
            f"{storage.uri}/{name}: the object changed while it was being read. Wait until nothing writes"
            " to it, then run the same command again."
        ) from err
    if item is None or (size, digest.hexdigest()) != (entry.size, entry.sha256):
        raise ObjectConflict(
            f"{storage.uri}/{name}: expected {entry.size} bytes with SHA-256 {entry.sha256}, got {size}"
            f" bytes with {digest.hexdigest()}. Do not serve this version: make another version"
            f" live.{_removal(storage, name, item)}"
        )
    return size


def _removal(storage: Storage, name: str, item: StoredObject | None) -> str:
    """Advice on removing an object with wrong bytes, so that a push can write the right ones."""
    if item is None:
        return ""
    return f" To remove the object: {removal_command(f'{storage.uri}/{name}', item.generation)}"
