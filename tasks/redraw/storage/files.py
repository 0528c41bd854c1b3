"""Local files: digests of folders, and writing that never leaves a partial file under its name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from redraw.errors import DiskFull, InvalidName, OutputExists
from redraw.records.files import SIGNATURE_FILE, ListedFile

PARTIAL_SUFFIX = ".partial"
# How much of a name, in bytes, leaves room for the additions of a partial file's name.
_LONGEST_STEM = 150

_BLOCK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class Checksums:
    """Checksums of a file's content: crc32c as Cloud Storage has it, and SHA-256 in hex."""

    crc32c: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TreeFile(ListedFile):
    """A listed file with its local path."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class TreeScan:
    """A folder's files by name, and one digest of all of them.

    Attributes:
        files: Sorted by name.
        digest: SHA-256, in hex, over the names, sizes and contents.
        size_bytes: Of all files.
    """

    files: tuple[TreeFile, ...]
    digest: str
    size_bytes: int


def scan_tree(folder: Path, checksums: Mapping[Path, Checksums] | None = None) -> TreeScan:
    """Read every file of a folder once, for its digest and its checksums.

    The digest is computed from the files' own digests, so that several files are read at once. Empty folders
    do not count, because a bucket has none.

    Args:
        folder: An existing folder; links in it are followed.
        checksums: Path to checksums of files in it that need not be read again.

    Raises:
        OSError: The folder, or a file in it, cannot be read.
    """
    names = tree_names(folder)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        files = tuple(pool.map(lambda name: _scanned(folder / name, name, checksums or {}), names))
    return TreeScan(files=files, digest=digest_of(files), size_bytes=sum(file.size for file in files))


def digest_of(files: Iterable[ListedFile]) -> str:
    """The digest of a tree: SHA-256, in hex, over its files' names, sizes and own digests."""
    return digest_files((file.name, file.size, file.sha256) for file in files)


def tree_names(folder: Path) -> list[str]:
    """The sorted names of a folder's files relative to it, without the signature; links are followed."""
    names = {
        (Path(parent) / file).relative_to(folder).as_posix()
        for parent, _, files in os.walk(folder, followlinks=True, onerror=_raise)
        for file in files
    }
    return sorted(names - {SIGNATURE_FILE})


def digest_files(files: Iterable[tuple[str, int, str]]) -> str:
    """The digest of a folder, from the digests of its files.

    Args:
        files: The name in the folder, the size and the SHA-256 in hex of each file.

    Returns:
        SHA-256 in hex.
    """
    text = json.dumps(sorted([*file] for file in files), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def open_regular(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device might never end.

    Raises:
        InvalidName: It is a pipe, a socket or a device.
        IsADirectoryError: It is a folder.
        OSError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as err:
        if err.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise _not_regular(path) from err
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb", buffering=buffering)
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise _not_regular(path)


def demand_regular(path: Path) -> None:
    """Refuse a path that is neither a regular file nor a folder; a missing file is left to its reader.

    Raises:
        InvalidName: It is a symbolic link, a pipe, a socket or a device.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _not_regular(path)


def demand_outside_saved_model(path: Path) -> None:
    """Refuse to write into a SavedModel, because any new file changes its digest.

    Raises:
        OutputExists: The path is in a SavedModel.
    """
    place = path.absolute()
    for folder in (place, *place.parents):
        if (folder / "saved_model.pb").is_file():
            raise OutputExists(
                f"{path}: expected a path outside of the SavedModel {folder}. Choose another path."
            )


def demand_no_pattern(path: Path) -> None:
    """Refuse a folder whose name TensorFlow reads as a pattern: it would not find files that it wrote there.

    Raises:
        InvalidName: The absolute path has an asterisk, a question mark, a bracket or a backslash.
    """
    if marks := sorted(set("*?[\\") & set(str(path.absolute()))):
        raise InvalidName(
            f"{path}: expected a path without * ? [ and \\, which TensorFlow reads as a file pattern, got"
            f" {' '.join(marks)}. Choose another path."
        )


def _not_regular(path: Path) -> InvalidName:
    return InvalidName(
        f"{path}: expected a regular file, got a link, a pipe, a socket or a device. Replace it by a copy"
        " of the file, or remove it."
    )


def scan_file(path: Path, name: str) -> TreeFile:
    """Read one file once, for its checksums.

    Args:
        path: The file.
        name: The name for the result.
    """
    sha256, crc32c, size = hashlib.sha256(), 0, 0
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            crc32c = google_crc32c.extend(crc32c, block)
            size += len(block)
    return TreeFile(name=name, path=path, size=size, crc32c=crc32c, sha256=sha256.hexdigest())


def digest_tree(folder: Path) -> tuple[str, int]:
    """The digest of a folder, and the number of bytes in it."""
    scan = scan_tree(folder)
    return scan.digest, scan.size_bytes


def _scanned(path: Path, name: str, checksums: Mapping[Path, Checksums]) -> TreeFile:
    sums = checksums.get(path)
    if sums is None:
        return scan_file(path, name)
    return TreeFile(name=name, path=path, size=path.stat().st_size, crc32c=sums.crc32c, sha256=sums.sha256)


def checksum_of(source: bytes | Path) -> int:
    """The crc32c of bytes or of a file's content, an unsigned 32-bit number."""
    if isinstance(source, bytes):
        return int(google_crc32c.value(source))
    crc32c = 0
    with open_regular(source) as file:
        while block := file.read(_BLOCK):
            crc32c = google_crc32c.extend(crc32c, block)
    return crc32c


def partial_path(path: Path) -> Path:
    """A temporary name next to `path`, to write under until the file is complete."""
    stem = os.fsdecode(os.fsencode(path.name)[:_LONGEST_STEM])
    return path.with_name(f".{stem}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Translate errors of a full disk while writing to `path` into a `DiskFull`.

    TensorFlow's file writers raise errors of their own, which are recognized by their text.

    Args:
        path: The file or folder that is written, named in the message.

    Yields:
        Nothing; write within.

    Raises:
        DiskFull: The disk or the quota is full.
    """
    try:
        yield
    except Exception as err:
        if not _means_full(err):
            raise
        raise DiskFull(
            f"{path}: cannot write: {os.strerror(errno.ENOSPC)}. Free some space on this file system, or"
            " write to another file system."
        ) from err


def write_atomically(path: Path, data: bytes) -> None:
    """Write a small file so that a reader sees either all of it or the old content.

    Raises:
        DiskFull: No space is left; the old content stays.
    """
    partial = partial_path(path)
    with writing_to(path):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _means_full(err: Exception) -> bool:
    if isinstance(err, OSError) and err.errno in _FULL:
        return True
    from_tensorflow = type(err).__module__.partition(".")[0] == "tensorflow"
    return from_tensorflow and any(os.strerror(number) in str(err) for number in _FULL)


def _raise(err: OSError) -> None:
    raise err
