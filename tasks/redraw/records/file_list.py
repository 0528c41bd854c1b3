"""The list of an export's files with their checksums, kept next to its folder.

Export reads each file for its digest anyway. With the list a push need not read them
again before it knows where they go: it holds each one to its digest while it sends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from redraw.records.base import Record
from redraw.records.files import ListedFile


@dataclass(frozen=True, kw_only=True)
class FileList(Record):
    """Every file of an export, sorted by name: the content of `<export>.files.json`."""

    files: tuple[ListedFile, ...]


def list_files(files: Iterable[ListedFile]) -> tuple[ListedFile, ...]:
    """The files without the place where they lie: what the list and a version's manifest hold."""
    return tuple(
        ListedFile(name=file.name, size=file.size, crc32c=file.crc32c, sha256=file.sha256) for file in files
    )


def encode_files(files: Iterable[ListedFile]) -> bytes:
    """The content of `<export>.files.json`."""
    return json.dumps(FileList(files=list_files(files)).to_json(), indent=1, allow_nan=False).encode()
