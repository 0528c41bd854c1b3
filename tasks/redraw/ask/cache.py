"""A local cache of published versions by digest, which removes the oldest to make room.

<cache>/redraw.lock locked while the folders change, and while one of them is loaded
<cache>/<digest>/   a version's files; its modification time is that of its last use
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redraw.errors import InvalidRequest, InvalidSetting
from redraw.publish.bucket.verified import fetch_verified
from redraw.records import Release
from redraw.settings import CACHE
from redraw.storage.files import PARTIAL_SUFFIX, scan_tree, writing_to
from redraw.storage.opening import Storage

_MOST_BYTES = 4_000_000_000
_LOCK = "redraw.lock"
# The names of versions and of partial downloads; other files in the folder are not touched.
_VERSION = re.compile(r"[0-9a-f]{64}")
_PARTIAL = re.compile(rf"\.[0-9a-f]{{64}}\..+{re.escape(PARTIAL_SUFFIX)}")


@dataclass(frozen=True, kw_only=True)
class CachedVersion:
    """A version on the local disk.

    Attributes:
        release: Its record.
        folder: Its files.
        fetched: Whether they had to be downloaded now.
    """

    release: Release
    folder: Path
    fetched: bool


@contextmanager
def cached_version(
    storage: Storage, release: Release, cache: Path | None = None, most_bytes: int = _MOST_BYTES
) -> Iterator[CachedVersion]:
    """Provide a version's files on the local disk while the block runs.

    Args:
        storage: The model bucket.
        release: The version's record.
        cache: The folder of the cache; by default `$REDRAW_CACHE`, or a folder in the user's cache folder.
        most_bytes: The largest size of the cache.

    Yields:
        The complete version: its digest is that of its record.

    Raises:
        InvalidRequest: The version is larger than the cache.
        ObjectConflict: The version's objects are not what was published.
        DiskFull: There is no room for its files.
        StorageError: The bucket cannot be read.
    """
    if release.size_bytes > most_bytes:
        raise InvalidRequest(
            f"{release.uri}: expected a version of at most {most_bytes} bytes, the size of the cache, got"
            f" {release.size_bytes}. Send the request to a model server."
        )
    root = cache or _default_cache()
    with writing_to(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = root / release.digest
        fetched = not _is_current(folder, release)
        if fetched:
            _make_room(root, most_bytes - release.size_bytes)
            _fetch(storage, release, folder)
        os.utime(folder)
        yield CachedVersion(release=release, folder=folder, fetched=fetched)


def _default_cache() -> Path:
    if folder := CACHE.read():
        return folder
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "redraw"
    except RuntimeError as err:
        raise InvalidSetting(
            f"{CACHE.variable}: expected a folder for downloaded versions, got none, and this user has no"
            f" home folder. Set {CACHE.variable}."
        ) from err


def _is_current(folder: Path, release: Release) -> bool:
    if not folder.is_dir():
        return False
    if scan_tree(folder).digest == release.digest:
        return True
    shutil.rmtree(folder)
    return False


def _fetch(storage: Storage, release: Release, folder: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=PARTIAL_SUFFIX, dir=folder.parent))
    try:
        fetch_verified(storage, release.model, release.version, partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _make_room(root: Path, most_bytes: int) -> None:
    """Remove partial downloads, and the least recently used versions until the others fit."""
    folders = [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
    for folder in filter(lambda path: _PARTIAL.fullmatch(path.name), folders):
        shutil.rmtree(folder)
    versions = [path for path in folders if _VERSION.fullmatch(path.name)]
    total = 0
    for folder in sorted(versions, key=lambda path: path.stat().st_mtime, reverse=True):
        total += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if total > most_bytes:
            shutil.rmtree(folder)
