"""A folder that may hold checkpoints, on this machine or in a bucket, listed once."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from redraw.errors import CheckpointCorrupt
from redraw.storage.files import demand_regular
from redraw.storage.opening import Absent, Changed, open_storage
from redraw.storage.scratch import scratch_folder
from redraw.uri import Uri

# What lies in a folder itself, and in a SavedModel's variables/ and assets/.
_DEPTH = 2
_INNER = ("variables", "assets")
# One request for each: large enough for a link's speed, small enough to keep in memory.
_PART = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file as it was listed.

    Attributes:
        name: Relative to the folder.
        size: In bytes.
        generation: Which content it had; parts are read only of that one.
        written_at: Seconds since 1970 UTC.
    """

    name: str
    size: int
    generation: int
    written_at: float


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder's files; nothing of them is read yet.

    Attributes:
        uri: The folder, without a slash at its end.
        files: Name to file; those one folder further down included.
    """

    uri: Uri
    files: Mapping[str, FoundFile]

    @property
    def local(self) -> Path | None:
        """Where it is on this machine; None in a bucket."""
        return None if self.uri.is_bucket else Path(self.uri)

    def uri_of(self, name: str) -> Uri:
        """What a file of it, or a prefix of files, is called."""
        return self.uri / name if name else self.uri

    def read(self, file: FoundFile, offset: int, size: int) -> bytes:
        """A part of a file: fewer than `size` bytes at its end, or of a large part.

        Raises:
            CheckpointCorrupt: The file is gone, or was replaced since it was listed.
            StorageError: The bucket cannot be read.
        """
        if self.local is not None:
            demand_regular(self.local / file.name)
        storage = open_storage(self.uri)
        try:
            return storage.read_range(file.name, offset, min(size, _PART), file.generation)
        except (Absent, Changed) as err:
            raise CheckpointCorrupt(
                f"{self.uri_of(file.name)}: expected the file as it was listed, got one that was"
                " replaced or removed meanwhile. Choose a checkpoint that nobody writes any more."
            ) from err

    def fetch(self, names: Iterable[str]) -> Path:
        """The folder on this machine; from a bucket the named files are copied first.

        What was copied lasts as long as this object.

        Raises:
            StorageError: The bucket cannot be read.
        """
        if self.local is not None:
            return self.local
        names = list(names)
        stack = contextlib.ExitStack()
        weakref.finalize(self, stack.close)
        needed = sum(self.files[name].size for name in names)
        scratch = stack.enter_context(scratch_folder("checkpoint", needed))
        for name in names:
            open_storage(self.uri).download(name, scratch / name)
        return scratch


def list_folder(uri: Uri) -> Folder:
    """List a folder; one that is absent has no files.

    Args:
        uri: A local folder, or `gs://BUCKET/PREFIX`.

    Raises:
        StorageError: The bucket cannot be listed.
    """
    if uri.is_bucket:
        return _listed(uri, "")
    return Folder(uri=uri, files=_local_files(Path(uri), ""))


def list_beside(uri: Uri) -> tuple[Folder, str]:
    """List the files whose paths begin like a URI.

    Args:
        uri: A file, or the common beginning of several; local or in a bucket.

    Returns:
        The folder that they are in, and the URI's last part.

    Raises:
        StorageError: The bucket cannot be listed.
    """
    if not uri.is_bucket:
        files = _local_files(Path(uri.parent), uri.name)
        return Folder(uri=uri.parent, files=files), uri.name
    if not uri.key:
        return Folder(uri=uri, files={}), ""
    return _listed(uri.parent, uri.name), uri.name


def _listed(uri: Uri, prefix: str) -> Folder:
    found = (
        FoundFile(name=item.name, size=item.size, generation=item.generation, written_at=item.written_at)
        for item in open_storage(uri).walk(prefix)
        if item.name.count("/") < _DEPTH
    )
    return Folder(uri=uri, files={file.name: file for file in found})


def _local_files(folder: Path, prefix: str) -> dict[str, FoundFile]:
    # Of the folders in it only a SavedModel's own is of interest.
    inner = (path for name in _INNER for path in _children(folder / name))
    paths = [*folder.iterdir(), *inner] if folder.is_dir() else []
    names = ((path, path.relative_to(folder).as_posix()) for path in sorted(paths))
    # What is no file of its own is refused where it is opened, and is not left out without a word.
    return {name: _found(path, name) for path, name in names if name.startswith(prefix) and not path.is_dir()}


def _children(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ()


def _found(path: Path, name: str) -> FoundFile:
    status = path.lstat()
    return FoundFile(
        name=name, size=status.st_size, generation=status.st_mtime_ns, written_at=status.st_mtime
    )
