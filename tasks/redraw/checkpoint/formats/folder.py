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

# The files of a folder itself, and of a SavedModel's variables/ and assets/.
_DEPTH = 2
_INNER = ("variables", "assets")
# Bytes of one request: large enough for a link's speed, small enough to keep in memory.
_PART = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """A file at the time of its listing.

    Attributes:
        name: Relative to the folder.
        size: In bytes.
        generation: The version of its content; only parts of this version are read.
        written_at: Seconds since 1970 UTC.
    """

    name: str
    size: int
    generation: int
    written_at: float


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The files of a folder, listed but not read yet.

    Attributes:
        uri: The folder, without a slash at its end.
        files: Name to file, including those one folder further down.
    """

    uri: Uri
    files: Mapping[str, FoundFile]

    @property
    def local(self) -> Path | None:
        """Where it is on this machine; None in a bucket."""
        return None if self.uri.is_bucket else Path(self.uri)

    def uri_of(self, name: str) -> Uri:
        """The URI of a file in it, or of a prefix of files."""
        return self.uri / name if name else self.uri

    def read(self, file: FoundFile, offset: int, size: int) -> bytes:
        """Read a part of a file; fewer than `size` bytes at its end, or if the part is large.

        Raises:
            CheckpointCorrupt: The file was removed or replaced since it was listed.
            StorageError: The bucket cannot be read.
        """
        if self.local is not None:
            demand_regular(self.local / file.name)
        storage = open_storage(self.uri)
        try:
            return storage.read_range(file.name, offset, min(size, _PART), file.generation)
        except (Absent, Changed) as err:
            raise CheckpointCorrupt(
                f"{self.uri_of(file.name)}: the file was replaced or removed while it was being read."
                " Choose a checkpoint that is no longer being written."
            ) from err

    def fetch(self, names: Iterable[str]) -> Path:
        """The folder on this machine; the named files of a bucket are downloaded first.

        The copies last as long as this object.

        Raises:
            StorageError: The bucket cannot be read.
        """
        if self.local is not None:
            return self.local
        names = list(names)
        stack = contextlib.ExitStack()
        weakref.finalize(self, stack.close)
        size = sum(self.files[name].size for name in names)
        scratch = stack.enter_context(scratch_folder("checkpoint", size))
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
        return _list_bucket(uri, "")
    return Folder(uri=uri, files=_local_files(Path(uri), ""))


def list_siblings(uri: Uri) -> tuple[Folder, str]:
    """List the files whose paths begin with a URI.

    Args:
        uri: A file, or the common beginning of several; local or in a bucket.

    Returns:
        Their folder, and the URI's last part.

    Raises:
        StorageError: The bucket cannot be listed.
    """
    if not uri.is_bucket:
        files = _local_files(Path(uri.parent), uri.name)
        return Folder(uri=uri.parent, files=files), uri.name
    if not uri.key:
        return Folder(uri=uri, files={}), ""
    return _list_bucket(uri.parent, uri.name), uri.name


def _list_bucket(uri: Uri, prefix: str) -> Folder:
    files = (
        FoundFile(name=item.name, size=item.size, generation=item.generation, written_at=item.written_at)
        for item in open_storage(uri).walk(prefix)
        if item.name.count("/") < _DEPTH
    )
    return Folder(uri=uri, files={file.name: file for file in files})


def _local_files(folder: Path, prefix: str) -> dict[str, FoundFile]:
    # Only the inner folders of a SavedModel are listed.
    inner = (path for name in _INNER for path in _children(folder / name))
    paths = [*folder.iterdir(), *inner] if folder.is_dir() else []
    names = ((path, path.relative_to(folder).as_posix()) for path in sorted(paths))
    # A link, a pipe or a device is listed too: opening it raises an error instead of ignoring it.
    return {
        name: _found_file(path, name) for path, name in names if name.startswith(prefix) and not path.is_dir()
    }


def _children(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ()


def _found_file(path: Path, name: str) -> FoundFile:
    status = path.lstat()
    return FoundFile(
        name=name, size=status.st_size, generation=status.st_mtime_ns, written_at=status.st_mtime
    )
