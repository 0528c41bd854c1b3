"""Room on this machine for what lies in a bucket, as long as a stage works on it.

    <REDRAW_SCRATCH>/<purpose>-<random>/           a stage's folder, locked by its process
    <REDRAW_SCRATCH>/<purpose>-<random>.promised   how many bytes it may still grow to

A lock goes with its process, however that ends: what a killed stage left is removed when
the next one starts. `REDRAW_SCRATCH_BYTES` bounds what all stages of the machine hold together.
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
# What `tempfile.mkdtemp` makes of a purpose.
_OWN = re.compile(rf"[a-z-]+-[a-z0-9_]{{8}}{re.escape(_PROMISED)}")


@contextlib.contextmanager
def scratch_folder(purpose: str, needed: int = 0) -> Iterator[Path]:
    """Make an empty folder, and remove it in the end.

    Args:
        purpose: What for; the folder's name begins with it.
        needed: The bytes that are to be put there, as far as is known.

    Yields:
        The folder, which only this user may read.

    Raises:
        DiskFull: There is no room for them, on the disk or within the quota.
        InvalidSetting: `REDRAW_SCRATCH_BYTES` is no number.
        StorageForbidden: The place for scratch belongs to somebody else.
    """
    root = _open_root()
    with _locked(root), writing_to(root):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=root))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        take_lock(descriptor)
        _beside(folder).write_text("0")
    try:
        demand_room(folder, needed)
        yield folder
    finally:
        # Not while another stage sweeps or counts what is there.
        with _locked(root):
            _remove(folder)
        os.close(descriptor)


def demand_room(folder: Path, needed: int) -> None:
    """Demand that so many bytes more may be written into a folder; of scratch, set them aside.

    Args:
        folder: An existing folder, within scratch or anywhere else.
        needed: In bytes.

    Raises:
        DiskFull: There is no room for them; nothing has been written yet.
        InvalidSetting: `REDRAW_SCRATCH_BYTES` is no number.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFull(
            f"{folder}: expected room for {needed} bytes, got {free} free ones."
            " Free some space on that file system, or write to another one."
        )
    root = _root()
    if not folder.is_relative_to(root):
        return
    with _locked(root):
        own = root / folder.relative_to(root).parts[0]
        wanted = _size(own) + needed
        _demand_quota(root, own, wanted)
        with writing_to(own):
            _beside(own).write_text(str(wanted))


def _demand_quota(root: Path, own: Path, wanted: int) -> None:
    quota = SCRATCH_BYTES.read()
    others = sum(_promised(folder) for folder in _folders(root) if folder != own)
    if quota is not None and others + wanted > quota:
        raise DiskFull(
            f"{root}: expected room for {wanted} bytes within {SCRATCH_BYTES.variable}={quota}, got"
            f" {max(0, quota - others)}:"
            f" other stages have the rest. Raise it, or run fewer of them on this machine at once."
        )


def _root() -> Path:
    folder = SCRATCH.read()
    return folder.absolute() if folder else Path(tempfile.gettempdir(), f"redraw-{os.getuid()}")


def _open_root() -> Path:
    """The place for scratch, made if it is absent; in a shared /tmp another user may have made it first."""
    root = _root()
    demand_no_pattern(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if SCRATCH.read() is None and (root.is_symlink() or root.stat().st_uid != os.getuid()):
        raise StorageForbidden(
            f"{root}: expected a folder of user {os.getuid()}, got a link or one of user"
            f" {root.stat().st_uid}. Set {SCRATCH.variable} to another folder."
        )
    return root


def _sweep(root: Path) -> None:
    for folder in _folders(root):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except PermissionError:
            continue  # another user's, who removes it
        try:
            if take_lock(descriptor):
                logger.info("removing %s, which a stage left that was killed", folder)
                _remove(folder)
        finally:
            os.close(descriptor)


def _folders(root: Path) -> list[Path]:
    """The stages' folders; whatever else somebody keeps there is not touched."""
    promises = (path for path in root.glob(f"*{_PROMISED}") if _OWN.fullmatch(path.name))
    found = [path.with_name(path.name.removesuffix(_PROMISED)) for path in promises if path.is_file()]
    return [folder for folder in found if folder.is_dir() and not folder.is_symlink()]


def _promised(folder: Path) -> int:
    """What a stage's folder holds, or may grow to."""
    with contextlib.suppress(FileNotFoundError, ValueError):  # being removed, or being written
        return max(_size(folder), int(_beside(folder).read_text()))
    return _size(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _beside(folder).unlink(missing_ok=True)


def _beside(folder: Path) -> Path:
    """Where the promise is: only its user may use the folder itself."""
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
    """One process at a time makes folders, sweeps, and counts."""
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        take_lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def take_lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder for this process, whose end also ends the lock.

    Args:
        descriptor: Of the file or the folder.
        wait: Whether to wait while another process has it.

    Returns:
        Whether the lock is ours now; never on a file system without locks, where nothing is removed.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
