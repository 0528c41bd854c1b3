"""The hidden folder that an export is written in until it is whole."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from redraw.storage.files import PARTIAL_SUFFIX
from redraw.storage.scratch import take_lock


@contextlib.contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """Make a folder next to `out` to write in, and remove it if it was not renamed.

    What exports to the same place have left that were killed is removed as well: a folder
    is locked by the process that writes in it, and the lock goes with the process.

    Args:
        out: Where the folder is to be renamed to.

    Yields:
        The folder, empty, with permissions that the umask gives.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=PARTIAL_SUFFIX, dir=out.parent))
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        take_lock(descriptor)
        folder.chmod(0o777 & ~_umask())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_abandoned(out: Path) -> None:
    for folder in out.parent.glob(f".{glob.escape(out.name)}.*{PARTIAL_SUFFIX}"):
        if not folder.is_dir():
            continue
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if take_lock(descriptor):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
