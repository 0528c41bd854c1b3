"""Objects as files below a local folder, with the same guarantees as a bucket."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import google_crc32c

from redraw.errors import InvalidName, StorageForbidden
from redraw.names import check_object_name
from redraw.storage.files import (
    PARTIAL_SUFFIX,
    checksum_of,
    open_regular,
    partial_path,
    scan_file,
    writing_to,
)
from redraw.storage.interface import (
    SMALL_BYTES,
    Absent,
    AlreadyThere,
    Changed,
    FileAltered,
    Storage,
    StoredObject,
    demand_small,
    skip_misnamed,
)
from redraw.uri import Uri

_BLOCK = 1 << 20
_LOCK_SUFFIX = ".lock"
# No object has a longer name, so folders with longer names need not be read.
_LONGEST_FOLDER = 1024

_Publish = Callable[[Path, Path], None]
_Expected = tuple[int | None, str | None]


class LocalStorage:
    """A folder of objects; it is created with the first object."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def uri(self) -> Uri:
        """The folder."""
        return Uri(self._root)

    def list(self, prefix: str = "") -> list[StoredObject]:
        """The files whose names start with `prefix`, without checksums."""
        objects = list(self._walk(prefix))
        for item in objects:
            check_object_name(item.name)
        return objects

    def walk(self, prefix: str = "", *, deep: bool = True) -> Iterator[StoredObject]:
        """The files whose names start with `prefix`, read a folder at a time."""
        return skip_misnamed(self._walk(prefix, deep=deep), self.uri)

    def _walk(self, prefix: str, *, deep: bool = True) -> Iterator[StoredObject]:
        for name in _files(self._root, prefix, deep):
            path = self._root / name
            # Skip a file that was removed since its folder was read, or a broken link.
            if path.exists():
                with contextlib.suppress(FileNotFoundError):
                    yield _described(path, name)

    def folders(self) -> tuple[str, ...]:
        """The folders in the root."""
        return tuple(name[:-1] for name in _entries(self._root) if name.endswith("/"))

    def stat(self, name: str) -> StoredObject | None:
        """Describe a file, which is read for its checksum."""
        path = self._path(name)
        with _named_errors(path), contextlib.suppress(FileNotFoundError, IsADirectoryError):
            return _described(path, name, checksum_of(path))
        return None

    def read(self, name: str, most: int = SMALL_BYTES) -> bytes | None:
        """A file's content; None if it does not exist."""
        stored = self.read_with_generation(name, most)
        return None if stored is None else stored[0]

    def read_with_generation(self, name: str, most: int = SMALL_BYTES) -> tuple[bytes, int] | None:
        """A file's content and the generation to replace; None if it does not exist."""
        path = self._path(name)
        with (
            _named_errors(path),
            contextlib.suppress(FileNotFoundError, IsADirectoryError),
            open_regular(path) as file,
        ):
            # An open file is one generation, because a replacement is another file.
            status = os.fstat(file.fileno())
            content = file.read(min(status.st_size, most) + 1)
            return demand_small(os.fspath(path), content, most), status.st_mtime_ns
        return None

    def read_range(self, name: str, offset: int, size: int, generation: int | None = None) -> bytes:
        """A part of a file's content."""
        path = self._path(name)
        with _named_errors(path):
            try:
                file = open_regular(path, buffering=0)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as err:
                raise Absent(f"{path}: no such file") from err
        with file:
            status = os.fstat(file.fileno())
            if generation is not None and status.st_mtime_ns != generation:
                raise Changed(os.fspath(path))
            # Python allocates the requested size before it reads.
            return os.pread(file.fileno(), max(0, min(size, status.st_size - offset)), offset)

    def download(self, name: str, path: Path) -> StoredObject:
        """Copy a file."""
        source = self._path(name)
        if not source.is_file():
            raise Absent(f"{source}: no such file")
        crc32c = _write(path, source, os.replace)
        return _described(source, name, crc32c)

    def create(
        self, name: str, source: bytes | Path, crc32c: int | None = None, sha256: str | None = None
    ) -> StoredObject:
        """Create a file, which must not exist yet; its checksum is that of the copied bytes."""
        path = self._path(name)
        try:
            actual = _write(path, source, os.link, (crc32c, sha256))
        except FileExistsError as err:
            raise AlreadyThere(os.fspath(path)) from err
        return _described(path, name, actual)

    def copy_from(self, source: Storage, stored: StoredObject, name: str) -> StoredObject:
        """Not supported: no service could make the copy."""
        raise NotImplementedError(f"{self.uri}/{name}: create it from the file that is to be copied")

    def replace(self, name: str, data: bytes, generation: int) -> StoredObject:
        """Replace the generation of a file that was read."""
        path = self._path(name)
        with _lock(path):
            if not path.is_file() or path.stat().st_mtime_ns != generation:
                raise Changed(os.fspath(path))
            crc32c = _write(path, data, lambda partial, final: _supersede(partial, final, generation))
        return _described(path, name, crc32c)

    def delete(self, name: str, generation: int) -> None:
        """Remove the generation of a file that was read or listed."""
        path = self._path(name)
        with _lock(path):
            if not path.is_file():
                return
            if path.stat().st_mtime_ns != generation:
                raise Changed(os.fspath(path))
            path.unlink()

    def delete_many(self, objects: Iterable[StoredObject]) -> None:
        """Remove the listed generations of files."""
        for item in objects:
            with contextlib.suppress(Changed):
                self.delete(item.name, item.generation)

    def kept_when_deleted(self, prefix: str) -> Iterator[str]:
        """A folder keeps nothing of deleted files."""
        return iter(())

    def _path(self, name: str) -> Path:
        """The path of an object, which must be below the root, even if it is a link."""
        path = self._root / check_object_name(name)
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(os.path.realpath(self._root)):
            raise InvalidName(
                f"{path}: expected a file below {self._root}, got a link to {target}. Replace the link by a"
                " copy of the file, or remove the link."
            )
        return path


def _files(root: Path, prefix: str, deep: bool) -> Iterator[str]:
    """The names that start with a prefix, in the same order as in a bucket."""
    parent = prefix.rpartition("/")[0]
    for name in _entries(root / parent):
        full = f"{parent}/{name}" if parent else name
        if not full.startswith(prefix):
            continue
        if not name.endswith("/"):
            yield full
        elif deep and len(full) < _LONGEST_FOLDER:
            yield from _files(root, full, deep)


def _entries(folder: Path) -> list[str]:
    """The entries of a folder; folders have a slash at the end, so that they sort like their files' paths."""
    try:
        with _named_errors(folder), os.scandir(folder) as entries:
            return sorted(
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in entries
                # A link to a folder is not followed, because it may lead to itself.
                if not (entry.is_symlink() and os.path.isdir(entry))
                and not (entry.name.startswith(".") and entry.name.endswith((PARTIAL_SUFFIX, _LOCK_SUFFIX)))
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def _described(path: Path, name: str, crc32c: int | None = None) -> StoredObject:
    status = path.stat()
    return StoredObject(
        name=name,
        size=status.st_size,
        crc32c=crc32c,
        generation=status.st_mtime_ns,
        written_at=status.st_mtime,
    )


def _write(path: Path, source: bytes | Path, publish: _Publish, expected: _Expected = (None, None)) -> int:
    """Write under a temporary name, then rename in one step; returns the crc32c."""
    partial = partial_path(path)
    with _named_errors(path), writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            crc32c = _fill(partial, source)
            sha256 = None if expected[1] is None else scan_file(partial, path.name).sha256
            if expected[0] not in (None, crc32c) or expected[1] != sha256:
                raise FileAltered(f"{source!r:.80}: crc32c {crc32c:08x}, SHA-256 {sha256}")
            publish(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return crc32c


def _fill(path: Path, source: bytes | Path) -> int:
    crc32c = 0
    with path.open("xb") as file:
        for block in _blocks(source):
            crc32c = google_crc32c.extend(crc32c, block)
            file.write(block)
    return crc32c


def _blocks(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with open_regular(source) as file:
        while block := file.read(_BLOCK):
            yield block


def _supersede(partial: Path, path: Path, generation: int) -> None:
    """Replace a file by one with a later time, even if the clock is coarse."""
    later = max(partial.stat().st_mtime_ns, generation + 1)
    os.utime(partial, ns=(later, later))
    partial.replace(path)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let only one process at a time compare and replace; the lock ends with the process."""
    with _named_errors(path), writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}{_LOCK_SUFFIX}").open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as err:
        raise StorageForbidden(
            f"{path}: expected permission to use this folder, got '{err.strerror}' for {err.filename}."
            " Grant the permission, or name another folder."
        ) from err
