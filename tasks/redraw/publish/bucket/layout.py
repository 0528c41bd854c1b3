"""What a published version consists of, by name, and its records.

    <model>/<version>/…                    what a server loads
    <model>/releases/<version>.claim.json  taken first: whose version it is, and its manifest
    <model>/releases/<version>.sig.json    its signature, if it has one
    <model>/releases/<version>.json        written last: the release record
    <model>/reports/<version>/<hash>-<name> what people look at: the report's page and pictures, the
                                           restore ledger; <hash> is the start of its SHA-256
    <model>/live.json                      the live pointer
    <model>/models.config                  the same for TensorFlow Serving

TensorFlow Serving takes only children of <model>/ that parse as an integer for versions,
so it passes over all but the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from redraw.errors import InvalidRecord
from redraw.names import ModelName
from redraw.records import Record, Release
from redraw.records.files import ListedFile
from redraw.storage.opening import Storage, in_parallel

__all__ = [
    "ATTACHMENT_BYTES",
    "REVISIONS",
    "Claim",
    "attachment_name",
    "claim_name",
    "encode_record",
    "list_claims",
    "list_versions",
    "live_name",
    "read_claim",
    "read_release",
    "release_name",
    "reports_folder",
    "serving_config_name",
    "signature_name",
    "trained_before",
    "version_folder",
]

# What the last two digits count: the versions of one second.
REVISIONS = 100
# The largest attachment: it is read and shown in one piece.
ATTACHMENT_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Claim(Record):
    """Whose a version is: the first thing written of it, by the first who comes.

    Attributes:
        model: The definition's name.
        version: The version that is claimed.
        digest: Of the export that goes there; another export needs another version.
        checkpoint_digest: Of the checkpoint that the export was made of.
        manifest: Every object that the version will have.
        step: Of the checkpoint; None in claims of before.
    """

    model: ModelName
    version: int
    digest: str
    checkpoint_digest: str
    manifest: tuple[ListedFile, ...]
    step: int | None = None


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


def reports_folder(model: str, version: int) -> str:
    """The folder of a version's attachments; servers pass over it."""
    return f"{model}/reports/{version}"


def attachment_name(model: str, version: int, name: str, sha256: str) -> str:
    """The object that holds an attachment of a version; another content has another name."""
    return f"{reports_folder(model, version)}/{sha256[:16]}-{name}"


def signature_name(model: str, version: int) -> str:
    """The object that holds a version's signature."""
    return f"{model}/releases/{version}.sig.json"


def live_name(model: str) -> str:
    """The object that says which version is live."""
    return f"{model}/live.json"


def serving_config_name(model: str) -> str:
    """The object for TensorFlow Serving's `--model_config_file`."""
    return f"{model}/models.config"


def encode_record(record: Record) -> bytes:
    """A record as the content of an object."""
    return (json.dumps(record.to_json(), indent=2, sort_keys=True) + "\n").encode()


def list_versions(storage: Storage, model: str) -> list[int]:
    """The versions with a release record, the newest weights first."""
    start = f"{model}/releases/"
    stems = (
        item.name.removeprefix(start).removesuffix(".json")
        for item in storage.list(start)
        if item.name.endswith(".json")
    )
    return sorted((int(stem) for stem in stems if stem.isdecimal()), reverse=True)


def list_claims(storage: Storage, model: str, digits: str) -> dict[int, Claim]:
    """The claims of the versions whose number begins with some digits, by version.

    Raises:
        InvalidRecord: One of them is damaged.
    """
    start, end = f"{model}/releases/", ".claim.json"
    stems = (
        item.name.removeprefix(start).removesuffix(end)
        for item in storage.list(start + digits)
        if item.name.endswith(end)
    )
    versions = sorted(int(stem) for stem in stems if stem.isdecimal())
    claims = in_parallel(lambda version: read_claim(storage, model, version), versions)
    return {version: claim for version, claim in zip(versions, claims, strict=True) if claim is not None}


def read_release(storage: Storage, model: str, version: int) -> Release | None:
    """The release record of a version; None if it was not published.

    Raises:
        InvalidRecord: What is there is no release record, or one of something else.
    """
    name = release_name(model, version)
    content = storage.read(name)
    if content is None:
        return None
    where = f"{storage.uri}/{name}"
    release = Release.from_text(content, where)
    _demand_about(where, (release.model, release.version), (model, version))
    return release


def read_claim(storage: Storage, model: str, version: int) -> Claim | None:
    """The claim of a version; None if nobody has claimed it.

    Raises:
        InvalidRecord: What is there is no claim, or one of something else.
    """
    name = claim_name(model, version)
    content = storage.read(name)
    if content is None:
        return None
    where = f"{storage.uri}/{name}"
    claim = Claim.from_text(content, where)
    _demand_about(where, (claim.model, claim.version), (model, version))
    return claim


def _demand_about(where: str, found: object, expected: object) -> None:
    if found != expected:
        raise InvalidRecord(
            f"{where}: expected a record of {expected}, got one of {found}. Find out who copied it there."
        )
