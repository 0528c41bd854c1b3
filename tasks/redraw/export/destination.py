"""The destination of an export: a local folder, or a bucket by way of a scratch folder."""

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
        uri: Its final, absolute place.
        folder: The local folder that it is written to; the same place, or scratch for a bucket.
    """

    uri: Uri
    folder: Path

    @property
    def remote(self) -> bool:
        """Whether it is uploaded to a bucket."""
        return self.uri.is_bucket

    def put(self, partial: Path, exported: ExportedModel, ledger: Ledger, files: Iterable[TreeFile]) -> None:
        """Put a complete export in its place, with its records next to it.

        Locally the folder comes last, so that no folder is ever without records. In a bucket, which
        has no folders, the export's own record comes last, because readers look for it first.

        Args:
            partial: The folder that it was made in.
            exported: Its record.
            ledger: Where its values came from.
            files: The files in the folder.

        Raises:
            ObjectConflict: Another object was created there meanwhile.
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
        """Put a complete folder in its place, without records.

        Raises:
            ObjectConflict: Another object was created there meanwhile.
            StorageError: The bucket cannot be written to.
        """
        if not self.remote:
            partial.rename(self.folder)
            return
        uploads = (replace(file, path=partial / file.name) for file in files)
        upload_tree(open_storage(self.uri.parent), self.uri.name, uploads)


@contextlib.contextmanager
def open_destination(out: Uri) -> Iterator[Destination]:
    """Open the place for an export.

    Args:
        out: A local folder or one in a bucket; absent or empty.

    Yields:
        The place.

    Raises:
        OutputExists: The place is not empty.
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
    """Refuse to overwrite a file that is not an export's record, such as an index of Keras' weights."""
    if not record.exists():
        return
    try:
        ExportedModel.from_text(record.read_bytes(), str(record))
    except (InvalidRecord, OSError) as err:
        raise OutputExists(
            f"{record}: the export would write its record here, but another file has this name. Choose"
            " another --out."
        ) from err


def _exists(uri: Uri) -> OutputExists:
    return OutputExists(
        f"{uri}: expected a new or empty folder, got a folder with files. Choose another --out, or remove"
        " the folder."
    )


@contextlib.contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """Make a folder next to `out` to write in, and remove it if it was not renamed.

    It also removes the folders of killed exports to the same place: a process locks the
    folder that it writes in, and the lock ends with the process.

    Args:
        out: The folder's final name.

    Yields:
        The empty folder, with permissions according to the umask.
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
