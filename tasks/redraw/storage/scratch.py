"""Temporary folders for a stage's copies of objects.

    <REDRAW_SCRATCH>/<purpose>-<random>/           a stage's folder, locked by its process
    <REDRAW_SCRATCH>/<purpose>-<random>.promised   the size in bytes that it may grow to

A lock ends with its process: the folder of a killed stage is removed when the next stage starts.
`REDRAW_SCRATCH_BYTES` limits the size of all stages' folders on the machine together.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redraw.errors import DiskFull, StorageForbidden
from redraw.settings import SCRATCH, SCRATCH_BYTES
from redraw.storage.files import demand_no_pattern, writing_to

logger = logging.getLogger(__name__)

_PROMISED = ".promised"
# The names that `tempfile.mkdtemp` makes.
_OWN = re.compile(rf"[a-z-]+-[a-z0-9_]{{8}}{re.escape(_PROMISED)}")


@contextlib.contextmanager
def scratch_folder(purpose: str, size: int = 0) -> Iterator[Path]:
    """Make an empty folder, and remove it at the end.

    Args:
        purpose: The start of the folder's name.
        size: The expected number of bytes, as far as the caller knows.

    Yields:
        The folder, which only this user may read.

    Raises:
        DiskFull: There is no room for them, on the disk or within the quota.
        InvalidSetting: `REDRAW_SCRATCH_BYTES` is no number.
        StorageForbidden: Another user owns the folder for scratch.
    """
    root = _open_root()
    with _locked(root), writing_to(root):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=root))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        take_lock(descriptor)
        _promise_path(folder).write_text("0")
    try:
        demand_room(folder, size)
        yield folder
    finally:
        # Not while another stage sweeps or counts the folders.
        with _locked(root):
            _remove(folder)
        os.close(descriptor)


def demand_room(folder: Path, size: int) -> None:
    """Demand room for more bytes in a folder; in scratch, reserve them.

    Args:
        folder: An existing folder, within scratch or anywhere else.
        size: The number of bytes.

    Raises:
        DiskFull: There is no room for them; nothing has been written yet.
        InvalidSetting: `REDRAW_SCRATCH_BYTES` is no number.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DiskFull(
            f"{folder}: expected {size} free bytes, got {free}. Free some space on this file system, or"
            " write to another file system."
        )
    root = _root()
    if not folder.is_relative_to(root):
        return
    with _locked(root):
        own = root / folder.relative_to(root).parts[0]
        total = _size(own) + size
        _demand_quota(root, own, total)
        with writing_to(own):
            _promise_path(own).write_text(str(total))


def _demand_quota(root: Path, own: Path, size: int) -> None:
    quota = SCRATCH_BYTES.read()
    promised = sum(_promised(folder) for folder in _folders(root) if folder != own)
    if quota is not None and promised + size > quota:
        raise DiskFull(
            f"{root}: expected room for {size} bytes within {SCRATCH_BYTES.variable}={quota}, got"
            f" {max(0, quota - promised)}: other stages use the rest. Raise {SCRATCH_BYTES.variable}, or"
            " run fewer stages at once on this machine."
        )


def _root() -> Path:
    folder = SCRATCH.read()
    return folder.absolute() if folder else Path(tempfile.gettempdir(), f"redraw-{os.getuid()}")


def _open_root() -> Path:
    """The folder for scratch, created if necessary; in a shared /tmp another user may own it."""
    root = _root()
    demand_no_pattern(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if SCRATCH.read() is None and (root.is_symlink() or root.stat().st_uid != os.getuid()):
        raise StorageForbidden(
            f"{root}: expected a folder of user {os.getuid()}, got a link, or a folder of user"
            f" {root.stat().st_uid}. Set {SCRATCH.variable} to another folder."
        )
    return root


def _sweep(root: Path) -> None:
    for folder in _folders(root):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except PermissionError:
            continue  # another user's folder, which that user's stages remove
        try:
            if take_lock(descriptor):
                logger.info("removing %s, which a stage left that was killed", folder)
                _remove(folder)
        finally:
            os.close(descriptor)


def _folders(root: Path) -> list[Path]:
    """The stages' folders; any other files are ignored."""
    promises = (path for path in root.glob(f"*{_PROMISED}") if _OWN.fullmatch(path.name))
    folders = [path.with_name(path.name.removesuffix(_PROMISED)) for path in promises if path.is_file()]
    return [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]


def _promised(folder: Path) -> int:
    """The size of a stage's folder, or the size that it may grow to."""
    with contextlib.suppress(FileNotFoundError, ValueError):  # being removed, or being written
        return max(_size(folder), int(_promise_path(folder).read_text()))
    return _size(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _promise_path(folder).unlink(missing_ok=True)


def _promise_path(folder: Path) -> Path:
    """The file with the promised size; it is outside, because only the folder's user may read the folder."""
    return folder.with_name(f"{folder.name}{_PROMISED}")


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Let only one process at a time make, sweep and count folders."""
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        take_lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder for this process; the lock ends with the process.

    Args:
        descriptor: Of the file or the folder.
        wait: Whether to wait while another process has the lock.

    Returns:
        Whether this process has the lock; never on a file system without locks, where nothing is removed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
