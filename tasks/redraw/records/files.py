"""Files by name and checksums, as a manifest and a record list them; standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from redraw.records.base import Record
from redraw.records.forms import Count, Crc32c, Digest, ObjectName

# Where verifiers of OpenSSF model-signing look for a model's signature; it is none of the model's files.
SIGNATURE_FILE = "model.sig"


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file of a tree, as it was read once.

    Attributes:
        name: Relative to the tree's root, with forward slashes.
        size: In bytes.
        crc32c: Its checksum as Cloud Storage keeps it, an unsigned 32-bit number.
        sha256: Of its content, in hex.
    """

    name: ObjectName
    size: Count
    crc32c: Crc32c
    sha256: Digest


@dataclass(frozen=True, kw_only=True)
class FileList(Record):
    """Every file of an export, sorted by name: the content of `<export>.files.json`.

    Export reads each file for its digest anyway. With the list a push need not read them
    again before it knows where they go: it holds each one to its digest while it sends it.
    """

    files: tuple[ListedFile, ...]


def list_files(files: Iterable[ListedFile]) -> tuple[ListedFile, ...]:
    """The files without the place where they lie: what the list and a version's manifest hold."""
    return tuple(
        ListedFile(name=file.name, size=file.size, crc32c=file.crc32c, sha256=file.sha256) for file in files
    )


def encode_files(files: Iterable[ListedFile]) -> bytes:
    """The content of `<export>.files.json`."""
    return json.dumps(FileList(files=list_files(files)).to_json(), indent=1, allow_nan=False).encode()
