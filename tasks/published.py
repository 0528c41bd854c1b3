"""What a published version consists of, and whether all of it is there.

    <model>/<version>/…                    what a server loads
    <model>/releases/<version>.claim.json  taken first: whose version it is, and its manifest
    <model>/releases/<version>.json        written last: the release record
    <model>/live.json                      the live pointer
    <model>/models.config                  the same for TensorFlow Serving

TensorFlow Serving takes only names that parse as an integer for versions, so it
passes over all but the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.errors import ObjectConflict, VersionNotFound
from tasks.files import TreeFile
from tasks.records import Record, Release
from tasks.storage import Storage, StoredObject

__all__ = [
    "REVISIONS",
    "Claim",
    "ManifestEntry",
    "claim_name",
    "demand_no_conflict",
    "demand_published",
    "demand_whole",
    "encode_record",
    "list_versions",
    "live_name",
    "manifest_of",
    "read_claim",
    "read_release",
    "release_name",
    "serving_config_name",
    "trained_before",
    "version_folder",
]

# How many exports of one checkpoint have a version: the last two digits.
REVISIONS = 100


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """One object of a version: its name below the version's folder, its bytes and its checksum."""

    name: str
    size: int
    crc32c: int


@dataclass(frozen=True, kw_only=True)
class Claim(Record):
    """Whose a version is: the first thing written of it, by whoever comes first.

    Attributes:
        model: The definition's name.
        version: The version that is claimed.
        digest: Of the export that goes there; another export needs another version.
        checkpoint_digest: Of the checkpoint that the export was made of.
        manifest: Every object that the version will have.
    """

    model: str
    version: int
    digest: str
    checkpoint_digest: str
    manifest: tuple[ManifestEntry, ...]


def version_folder(model: str, version: int) -> str:
    """The folder that a server loads."""
    return f"{model}/{version}"


def trained_before(version: int, other: int) -> bool:
    """Whether the weights of one version are older than those of another, whatever the revisions."""
    return version // REVISIONS < other // REVISIONS


def claim_name(model: str, version: int) -> str:
    """The object that says whose a version is."""
    return f"{model}/releases/{version}.claim.json"


def release_name(model: str, version: int) -> str:
    """The object that holds a version's release record."""
    return f"{model}/releases/{version}.json"


def live_name(model: str) -> str:
    """The object that says which version is live."""
    return f"{model}/live.json"


def serving_config_name(model: str) -> str:
    """The object for TensorFlow Serving's `--model_config_file`."""
    return f"{model}/models.config"


def encode_record(record: Record) -> bytes:
    """A record as the content of an object."""
    return (json.dumps(record.to_json(), indent=2, sort_keys=True) + "\n").encode()


def manifest_of(files: Iterable[TreeFile]) -> tuple[ManifestEntry, ...]:
    """The manifest of a folder's files."""
    return tuple(ManifestEntry(name=file.name, size=file.size, crc32c=file.crc32c) for file in files)


def list_versions(storage: Storage, model: str) -> list[int]:
    """The versions with a release record, the newest weights first."""
    start = f"{model}/releases/"
    stems = (
        item.name.removeprefix(start).removesuffix(".json")
        for item in storage.list(start)
        if item.name.endswith(".json")
    )
    return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)


def read_release(storage: Storage, model: str, version: int) -> Release | None:
    """The release record of a version; None if it was not published.

    Raises:
        InvalidRecord: What is there is no release record.
    """
    name = release_name(model, version)
    content = storage.read(name)
    return None if content is None else Release.from_text(content, f"{storage.uri}/{name}")


def read_claim(storage: Storage, model: str, version: int) -> Claim | None:
    """The claim of a version; None if nobody has claimed it.

    Raises:
        InvalidRecord: What is there is no claim.
    """
    name = claim_name(model, version)
    content = storage.read(name)
    return None if content is None else Claim.from_text(content, f"{storage.uri}/{name}")


def demand_no_conflict(storage: Storage, claim: Claim) -> set[str]:
    """Compare what lies in a version's folder with the claim's manifest.

    Args:
        storage: The model bucket.
        claim: The version's.

    Returns:
        The names of the manifest that are there, whole; the others are absent.

    Raises:
        ObjectConflict: An object is there that the manifest does not know, or knows
            with another content; the message names it.
    """
    start = version_folder(claim.model, claim.version) + "/"
    expected = {entry.name: entry for entry in claim.manifest}
    present = set()
    for item in storage.list(start):
        name = item.name.removeprefix(start)
        if name not in expected:
            raise ObjectConflict(
                f"{storage.uri}/{item.name}: expected only the {len(expected)} objects of the version's"
                " manifest below its folder, got another one. Find out who wrote it, and remove it."
            )
        _demand_equal(storage, item, expected[name])
        present.add(name)
    return present


def demand_whole(storage: Storage, claim: Claim) -> None:
    """Demand that a version's folder holds exactly what its manifest lists.

    Raises:
        ObjectConflict: An object is missing, of other content, or not of the version.
    """
    missing = sorted({entry.name for entry in claim.manifest} - demand_no_conflict(storage, claim))
    if missing:
        folder = version_folder(claim.model, claim.version)
        raise ObjectConflict(
            f"{storage.uri}/{folder}/{missing[0]}: expected the {len(claim.manifest)} objects of the"
            f" manifest, got {len(missing)} fewer. Push the same export again to complete the version."
        )


def demand_published(storage: Storage, model: str, version: int) -> Release:
    """The release record of a version that is published and whole.

    Raises:
        VersionNotFound: It was never published, or not to its end.
        ObjectConflict: Its objects are no longer what was published.
    """
    release = read_release(storage, model, version)
    claim = read_claim(storage, model, version)
    if release is None or claim is None:
        known = ", ".join(map(str, list_versions(storage, model)[:5])) or "none"
        raise VersionNotFound(
            f"{storage.uri}/{version_folder(model, version)}: expected a published version, got none"
            f" of that number; the newest are {known}. Choose one of them."
        )
    if release.digest != claim.digest:
        raise ObjectConflict(
            f"{storage.uri}/{release_name(model, version)}: expected the digest of its claim,"
            f" {claim.digest}, got {release.digest}. One of the two was altered: publish it again."
        )
    demand_whole(storage, claim)
    return release


def _demand_equal(storage: Storage, found: StoredObject, expected: ManifestEntry) -> None:
    if (found.size, found.crc32c) != (expected.size, expected.crc32c):
        raise ObjectConflict(
            f"{storage.uri}/{found.name}: expected {expected.size} bytes with crc32c"
            f" {expected.crc32c:08x}, got {found.size} with {found.crc32c!r}. It is left as it is:"
            " find out who wrote it, and remove it."
        )
