"""The names of a published version's objects, and its records.

    <model>/<version>/…                    the files that a server loads
    <model>/<version>/model.sig            its signature, if it has one; servers ignore it
    <model>/releases/<version>.claim.json  written first: the export that owns the version, and its manifest
    <model>/releases/<version>.json        written last: the release record
    <model>/reports/<version>/<hash>-<name> attachments: the report's page and pictures, the restore
                                           ledger, and the passport. <hash> is the start of the file's
                                           SHA-256
    <model>/reports/<version>/<hash>-rollout.json
                                           a later result from the model servers, one for each rollout
    <model>/live/<number>.json             the live pointer after each change; the highest number counts
    <model>/live.json                      a copy of it, from which readers find the highest number
    <model>/models.config                  the same for TensorFlow Serving
    <model>/inference-service.yaml         the live version for KServe
    <model>/helm-values.yaml               the same as values for a Helm chart

TensorFlow Serving takes only children of <model>/ that parse as an integer for versions, so it ignores all
others.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from redraw.errors import InvalidName, InvalidRecord, NewerRecord
from redraw.names import ModelName
from redraw.records import Record, Release, UnreadableRecord
from redraw.records.files import SIGNATURE_FILE, ListedFile
from redraw.records.forms import Count, Digest, Version
from redraw.records.json_text import RECORD_BYTES
from redraw.storage.opening import Storage, in_parallel
from redraw.uri import BucketUri, Uri

logger = logging.getLogger(__name__)

# How many versions of one second the last two digits can count.
REVISIONS = 100
_VERSION = re.compile(r"[1-9][0-9]{0,15}")
# Size of the largest attachment, which is read and shown in one piece.
ATTACHMENT_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Claim(Record):
    """Reserves a version for one export: the first object that a push writes.

    Attributes:
        model: The definition's name.
        version: The version that is claimed.
        digest: Of the export; another export needs another version.
        checkpoint_digest: Of the export's checkpoint.
        manifest: Every object that the version will have.
        step: Of the checkpoint; None in claims of older versions of Redraw.
    """

    schema: ClassVar[int] = 2

    model: ModelName
    version: Version
    digest: Digest
    checkpoint_digest: Digest
    manifest: tuple[ListedFile, ...]
    step: Count | None = None


def version_folder(model: str, version: int) -> str:
    """The folder that a server loads."""
    return f"{model}/{version}"


def split_version_uri(uri: Uri) -> tuple[BucketUri, ModelName, int]:
    """The bucket, the model and the version of `gs://…/MODEL/VERSION`.

    Raises:
        InvalidName: The URI has another form.
    """
    version, folder = uri.name, uri.parent
    if not (version.isdecimal() and version.isascii()):
        raise InvalidName(f"{uri!r}: expected gs://…/MODEL/VERSION, got another form. Correct the URI.")
    return BucketUri(folder.parent), ModelName(folder.name), int(version)


def trained_before(version: int, other: int) -> bool:
    """Whether a version's weights are older than another version's; the revisions do not count."""
    return version // REVISIONS < other // REVISIONS


def claim_name(model: str, version: int) -> str:
    """The object that holds a version's claim."""
    return f"{model}/releases/{version}.claim.json"


def release_name(model: str, version: int) -> str:
    """The object that holds a version's release record."""
    return f"{model}/releases/{version}.json"


def reports_folder(model: str, version: int) -> str:
    """The folder of a version's attachments; servers ignore it."""
    return f"{model}/reports/{version}"


def attachment_name(model: str, version: int, name: str, sha256: str) -> str:
    """The object that holds an attachment of a version, named by its content unless it is the signature."""
    if name == SIGNATURE_FILE:
        return signature_name(model, version)
    return f"{reports_folder(model, version)}/{sha256[:16]}-{name}"


def signature_name(model: str, version: int) -> str:
    """The object that holds a version's signature, next to its files."""
    return f"{version_folder(model, version)}/{SIGNATURE_FILE}"


def old_signature_name(model: str, version: int) -> str:
    """The object that held a version's signature before Redraw 0.3."""
    return f"{model}/releases/{version}.sig.json"


def live_name(model: str) -> str:
    """The copy of the live pointer, which may be one change behind."""
    return f"{model}/live.json"


def numbered_live_name(model: str, number: int) -> str:
    """The object with the live pointer after a change; it is never replaced."""
    return f"{live_folder(model)}{number:08d}.json"


def live_folder(model: str) -> str:
    """The prefix of the names of all numbered pointers."""
    return f"{model}/live/"


def serving_config_name(model: str) -> str:
    """The object for TensorFlow Serving's `--model_config_file`."""
    return f"{model}/models.config"


def deployment_names(model: str) -> tuple[str, str]:
    """The objects with the live version's deployments for KServe and a Helm chart."""
    return f"{model}/inference-service.yaml", f"{model}/helm-values.yaml"


def encode_record(record: Record) -> bytes:
    """A record as the content of an object.

    Raises:
        InvalidRecord: It is larger than a reader accepts.
    """
    content = (
        json.dumps(record.stored().to_json(), indent=2, sort_keys=True, allow_nan=False) + "\n"
    ).encode()
    if len(content) > RECORD_BYTES:
        raise InvalidRecord(
            f"{type(record).__name__} record: expected at most {RECORD_BYTES} bytes, got {len(content)}."
            " Export fewer asset files, or shorten the report."
        )
    return content


def is_version(text: str) -> bool:
    """Whether a text is a version number as in object names."""
    return bool(_VERSION.fullmatch(text))


def list_versions(storage: Storage, model: str) -> list[int]:
    """The versions with a release record, the newest weights first; other names are skipped."""
    start = f"{model}/releases/"
    stems = (
        item.name.removeprefix(start).removesuffix(".json")
        for item in storage.walk(start)
        if item.name.endswith(".json")
    )
    return sorted((int(stem) for stem in stems if is_version(stem)), reverse=True)


_Versioned = TypeVar("_Versioned", Claim, Release)


def list_claims(storage: Storage, model: str, digits: str) -> dict[int, Claim]:
    """The claims of the versions whose numbers start with some digits, by version.

    A damaged claim still takes its version: it is replaced by the claim of an export that cannot exist.

    Raises:
        NewerRecord: A newer version of Redraw wrote one of them.
    """
    start, end = f"{model}/releases/", ".claim.json"
    stems = (
        item.name.removeprefix(start).removesuffix(end)
        for item in storage.walk(start + digits)
        if item.name.endswith(end)
    )
    versions = sorted(int(stem) for stem in stems if is_version(stem))
    claims = in_parallel(lambda version: _claim_or_taken(storage, model, version), versions)
    return {version: claim for version, claim in zip(versions, claims, strict=True) if claim is not None}


def _claim_or_taken(storage: Storage, model: str, version: int) -> Claim | None:
    try:
        return read_claim(storage, model, version)
    except InvalidRecord as err:
        if isinstance(err, NewerRecord):
            raise
        logger.warning("skipped the version %d: %s", version, err)
        return Claim(model=ModelName(model), version=version, digest="", checkpoint_digest="", manifest=())


def read_release(storage: Storage, model: str, version: int) -> Release | None:
    """The release record of a version; None if it was not published.

    Raises:
        InvalidRecord: The object is no release record, or the record of another version.
    """
    return _read_about(storage, release_name(model, version), Release, model, version)


def read_release_with_generation(storage: Storage, model: str, version: int) -> tuple[Release, int] | None:
    """The release record of a version, and the generation to replace; None if it was not published.

    Raises:
        InvalidRecord: The object is no release record, or the record of another version.
    """
    name = release_name(model, version)
    stored = storage.read_with_generation(name)
    return stored and (_parse_about(f"{storage.uri}/{name}", stored[0], Release, (model, version)), stored[1])


def read_records(
    storage: Storage, model: str, versions: Iterable[int]
) -> tuple[dict[int, Release], dict[int, UnreadableRecord]]:
    """The release records of versions, and separately those that cannot be read."""

    def read(version: int) -> Release | UnreadableRecord | None:
        try:
            return read_release(storage, model, version)
        except InvalidRecord as err:
            uri = f"{storage.uri}/{release_name(model, version)}"
            return UnreadableRecord(uri=uri, reason=str(err))

    ordered = sorted(versions, reverse=True)
    records = dict(zip(ordered, in_parallel(read, ordered), strict=True))
    # A record that was removed after the listing is in neither.
    return (
        {version: record for version, record in records.items() if isinstance(record, Release)},
        {version: record for version, record in records.items() if isinstance(record, UnreadableRecord)},
    )


def read_claim(storage: Storage, model: str, version: int) -> Claim | None:
    """The claim of a version; None if nobody has claimed it.

    Raises:
        InvalidRecord: The object is no claim, or the claim of another version.
    """
    return _read_about(storage, claim_name(model, version), Claim, model, version)


def _read_about(
    storage: Storage, name: str, kind: type[_Versioned], model: str, version: int
) -> _Versioned | None:
    """The record in an object, which must be of that version; None if there is no such object."""
    content = storage.read(name)
    return None if content is None else _parse_about(f"{storage.uri}/{name}", content, kind, (model, version))


def _parse_about(where: str, content: bytes, kind: type[_Versioned], expected: tuple[str, int]) -> _Versioned:
    record = kind.from_text(content, where).stored()
    if (actual := (record.model, record.version)) != expected:
        raise InvalidRecord(
            f"{where}: expected a record of {expected}, got a record of {actual}. Remove the copied object."
        )
    return record
