"""Where an export goes: a folder of this machine, or by way of one into a bucket."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from redraw.errors import InvalidRecord, OutputExists
from redraw.export.weights.ledger import Ledger
from redraw.records import ExportedModel
from redraw.records.files import encode_files
from redraw.storage.files import (
    PARTIAL_SUFFIX,
    TreeFile,
    demand_no_pattern,
    demand_outside_saved_model,
    write_atomically,
)
from redraw.storage.opening import open_storage, upload_tree
from redraw.storage.scratch import scratch_folder, take_lock
from redraw.uri import Uri


@dataclass(frozen=True, kw_only=True)
class Destination:
    """The place of one export.

    Attributes:
        uri: Where it is in the end, in any working directory.
        folder: Where it is made; the same, or a folder of scratch.
    """

    uri: Uri
    folder: Path

    @property
    def remote(self) -> bool:
        """Whether it is sent to a bucket."""
        return self.uri.is_bucket

    def put(self, partial: Path, exported: ExportedModel, ledger: Ledger, files: Iterable[TreeFile]) -> None:
        """Put a whole export in its place, with its records next to it.

        On this machine the folder comes last: without records it would look like an export that nothing
        explains. In a bucket, which has no folders, the export's own record does: it is what is asked for.

        Args:
            partial: The folder that it was made in.
            exported: Its record.
            ledger: Where its values came from.
            files: What is in the folder.

        Raises:
            ObjectConflict: Something else is there meanwhile.
            StorageError: The bucket cannot be written to.
        """
        files = tuple(files)
        records = {
            f"{self.uri}.files.json": encode_files(files),
            exported.ledger_uri: ledger.to_bytes(),
            f"{self.uri}.json": exported.to_bytes(),
        }
        if not self.remote:
            for uri, content in records.items():
                write_atomically(Path(uri), content)
        self.put_files(partial, files)
        if self.remote:
            storage = open_storage(self.uri.parent)
            for uri, content in records.items():
                storage.create(uri.removeprefix(f"{self.uri.parent}/"), content)

    def put_files(self, partial: Path, files: Iterable[TreeFile]) -> None:
        """Put a whole folder in its place, without records; raises as `put`."""
        if not self.remote:
            partial.rename(self.folder)
            return
        moved = (replace(file, path=partial / file.name) for file in files)
        upload_tree(open_storage(self.uri.parent), self.uri.name, moved)


@contextlib.contextmanager
def open_destination(out: Uri) -> Iterator[Destination]:
    """Open the place for an export.

    Args:
        out: A local folder or one in a bucket; absent or empty.

    Yields:
        The place.

    Raises:
        OutputExists: Something is there.
        InvalidName: TensorFlow would read the local folder's path as a pattern.
        StorageError: The bucket cannot be read.
    """
    uri = out.absolute()
    if not uri.is_bucket:
        folder = Path(out)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise _exists(uri)
        demand_outside_saved_model(folder)
        demand_no_pattern(folder)
        _keep_other_files(Path(f"{uri}.json"))
        yield Destination(uri=uri, folder=folder)
        return
    if next(open_storage(uri).walk(), None) is not None:
        raise _exists(uri)
    with scratch_folder("export") as scratch:
        yield Destination(uri=uri, folder=scratch / "model")


def _keep_other_files(record: Path) -> None:
    """Refuse to write the export's record over something else, such as an index of Keras' weights."""
    if not record.exists():
        return
    try:
        ExportedModel.from_text(record.read_bytes(), str(record))
    except (InvalidRecord, OSError) as err:
        raise OutputExists(
            f"{record}: expected no file where the export's record goes, or that of an earlier export, got"
            " another one. Choose another --out."
        ) from err


def _exists(uri: Uri) -> OutputExists:
    return OutputExists(
        f"{uri}: expected an absent or empty folder, got one that holds something."
        " Choose another --out, or remove it."
    )


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
    descriptor = os.open(folder, os.O_DIRECTORY)
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
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            if take_lock(descriptor):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
