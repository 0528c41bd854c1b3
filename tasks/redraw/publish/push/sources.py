"""The source of an export's files: this machine, or the validated objects in a bucket.

The storage service copies an export from bucket to bucket, without a download, if the report names the
generation of each object that validation read and checked against the export's digest. An object of that
generation has the same bytes, even if others may write there. Without generations the files are downloaded,
and each is checked against its SHA-256 while it is uploaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from redraw.errors import InvalidRecord, NotValidated
from redraw.records import ExportedModel, ValidationReport
from redraw.records.files import SIGNATURE_FILE, FileList, ListedFile
from redraw.storage.files import TreeFile, digest_of, scan_tree, tree_names
from redraw.storage.opening import (
    SMALL_STREAMS,
    Changed,
    FileAltered,
    Storage,
    StoredObject,
    copy_or_match,
    create_or_match,
    download_tree,
    open_storage,
    read_uri,
    streams_for,
)
from redraw.storage.scratch import scratch_folder


class Source(Protocol):
    """The files of an export, and how to write one as an object.

    Attributes:
        done: The word for a written file in the log.
    """

    done: ClassVar[str]

    @property
    def files(self) -> Sequence[ListedFile]:
        """The files, with the checksums they were exported with."""
        ...

    def put(self, storage: Storage, name: str, file: ListedFile) -> None:
        """Create the object of one of the files, unless it is there with the same content.

        Raises:
            NotValidated: The file is not what was exported and validated; no object was created.
            ObjectConflict: The object exists with other content, and is not changed.
        """
        ...

    def streams(self, files: Sequence[ListedFile]) -> int:
        """How many of these files to write at once."""
        ...


@contextlib.contextmanager
def open_source(export: ExportedModel, report: ValidationReport) -> Iterator[Source]:
    """Open an export's files, for as long as the context lasts.

    Args:
        export: A SavedModel in a local folder, or in a bucket.
        report: Its validation.

    Yields:
        The source of its files.

    Raises:
        InvalidRecord: There is no such folder.
        NotValidated: Its files were altered since it was exported or validated.
    """
    if (validated := _find_validated(export, report)) is not None:
        yield validated
        return
    with contextlib.ExitStack() as stack:
        folder = Path(export.uri)
        if export.uri.is_bucket:
            folder = stack.enter_context(scratch_folder("push", export.size_bytes))
            download_tree(open_storage(export.uri), "", folder)
        if not folder.is_dir():
            raise InvalidRecord(
                f"{export.uri}: expected the folder of a SavedModel, found none. Export again."
            )
        files = _listed_files(export, folder) or scan_tree(folder).files
        _demand_digest(export, files)
        yield _Folder(files, {file.name: file.path for file in files})


@dataclass(frozen=True)
class _Folder:
    """Files on this machine: each is checked against its digest while it is uploaded."""

    done: ClassVar[str] = "sent"

    files: Sequence[ListedFile]
    paths: Mapping[str, Path]

    def put(self, storage: Storage, name: str, file: ListedFile) -> None:
        path = self.paths[file.name]
        try:
            create_or_match(storage, name, file, path)
        except FileAltered as err:
            raise NotValidated(
                f"{path}: expected {file.size} bytes with SHA-256 {file.sha256}, as exported and validated,"
                f" got {err}. The file was changed since. Export and validate again."
            ) from err

    def streams(self, files: Sequence[ListedFile]) -> int:
        return streams_for(file.size for file in files)


@dataclass(frozen=True)
class _Validated:
    """Objects of the generations that validation read, which the service copies from bucket to bucket."""

    done: ClassVar[str] = "copied"

    files: Sequence[ListedFile]
    storage: Storage
    objects: Mapping[str, StoredObject]

    def put(self, storage: Storage, name: str, file: ListedFile) -> None:
        try:
            copy_or_match(storage, name, file, self.storage, self.objects[file.name])
        except Changed as err:
            generation = self.objects[file.name].generation
            raise _replaced(f"{self.storage.uri}/{file.name}", f"generation {generation}", "none") from err

    def streams(self, files: Sequence[ListedFile]) -> int:
        # The service copies them, so this machine only waits, whatever their sizes.
        return SMALL_STREAMS


def _find_validated(export: ExportedModel, report: ValidationReport) -> _Validated | None:
    """The objects that validation read; None if the report names none there, or the file list is missing."""
    if not export.uri.is_bucket or report.objects is None:
        return None
    storage, read = open_storage(export.uri), report.objects.generations
    files = _read_list(export)
    if report.objects.uri != storage.uri or files is None:
        return None
    _demand_digest(export, files)
    expected = {file.name: (read.get(file.name), file.size, file.crc32c) for file in files}
    objects = {item.name: item for item in storage.list() if item.name != SIGNATURE_FILE}
    actual = {name: (item.generation, item.size, item.crc32c) for name, item in objects.items()}
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            raise _replaced(f"{storage.uri}/{name}", _object(expected.get(name)), _object(actual.get(name)))
    return _Validated(files, storage, objects)


def _read_list(export: ExportedModel) -> list[ListedFile] | None:
    """The files in the list next to the export, sorted by name; None if there is no list."""
    where = export.uri.with_ending(".files.json")
    content = read_uri(where)
    if content is None:
        return None
    return sorted(FileList.from_text(content, where).files, key=lambda file: file.name)


def _listed_files(export: ExportedModel, folder: Path) -> tuple[TreeFile, ...] | None:
    """The listed files with their paths; None if there is no list.

    They are not read here: the list's digest is the export's, and an upload checks each file against the
    list.
    """
    files = _read_list(export)
    if files is None:
        return None
    by_name = {file.name: file for file in files}
    sizes = {name: (folder / name).stat().st_size for name in tree_names(folder)}
    for name in sorted(by_name.keys() | sizes.keys()):
        expected = by_name[name].size if name in by_name else None
        if sizes.get(name) != expected:
            raise NotValidated(
                f"{export.uri}/{name}: expected {_bytes(expected)}, as exported, got"
                f" {_bytes(sizes.get(name))}. The file was changed since. Export and validate again."
            )
    return tuple(
        TreeFile(name=name, size=file.size, crc32c=file.crc32c, sha256=file.sha256, path=folder / name)
        for name, file in sorted(by_name.items())
    )


def _demand_digest(export: ExportedModel, files: Sequence[ListedFile]) -> None:
    if (digest := digest_of(files)) != export.digest:
        raise NotValidated(
            f"{export.uri}: expected files with the digest {export.digest}, as exported, got {digest}. The"
            " files were changed since. Export and validate again."
        )


def _replaced(uri: str, expected: str, actual: str) -> NotValidated:
    return NotValidated(
        f"{uri}: expected {expected}, as validated, got {actual}. The object was changed since. Validate"
        " again."
    )


def _object(facts: tuple[int | None, int, int | None] | None) -> str:
    if facts is None:
        return "no such object"
    generation, size, crc32c = facts
    return f"generation {generation} of {size} bytes with crc32c {crc32c or 0:08x}"


def _bytes(size: int | None) -> str:
    return "no such file" if size is None else f"{size} bytes"
