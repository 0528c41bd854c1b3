"""Lists of files with names and checksums, for manifests and records; standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from redraw.records.base import Record
from redraw.records.forms import Count, Crc32c, Digest, ObjectName

# The name of the signature for verifiers of OpenSSF model-signing; it does not belong to the model's files.
SIGNATURE_FILE = "model.sig"


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file of a folder, with its checksums.

    Attributes:
        name: Relative to the folder, with forward slashes.
        size: In bytes.
        crc32c: Its checksum as in Cloud Storage, an unsigned 32-bit number.
        sha256: Of its content, in hex.
    """

    name: ObjectName
    size: Count
    crc32c: Crc32c
    sha256: Digest


@dataclass(frozen=True, kw_only=True)
class FileList(Record):
    """Every file of an export, sorted by name: the content of `<export>.files.json`.

    Export reads each file for its digest anyway. With the list, a push need not read the files before it
    claims a version: it checks each file against its digest while it uploads it.
    """

    files: tuple[ListedFile, ...]


def list_files(files: Iterable[ListedFile]) -> tuple[ListedFile, ...]:
    """The files without their paths, for the list and a version's manifest."""
    return tuple(
        ListedFile(name=file.name, size=file.size, crc32c=file.crc32c, sha256=file.sha256) for file in files
    )


def encode_files(files: Iterable[ListedFile]) -> bytes:
    """The content of `<export>.files.json`."""
    return json.dumps(FileList(files=list_files(files)).to_json(), indent=1, allow_nan=False).encode()
