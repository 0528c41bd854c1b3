"""The checkpoint catalogue: complete checkpoints, each in a folder with its record.

    <catalogue>/<model>/<step>-<digest>/weights.index, weights.data-…, record.json

Files of other formats than TensorFlow's are called `weights` too, with their own suffix.
The folder of a checkpoint that is there by reference holds only the record. The record is
written last, so a folder without one is not yet a checkpoint.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from redraw.checkpoint.formats.folder import Folder, FoundFile
from redraw.checkpoint.formats.locate import Located, locate_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointMismatch, InvalidRecord
from redraw.names import CHECKPOINT_RECORD
from redraw.records import Checkpoint
from redraw.storage.files import scan_file
from redraw.storage.opening import Absent, AlreadyThere, Storage, create_or_match, in_parallel, open_storage
from redraw.storage.scratch import demand_room
from redraw.uri import Uri

PREFIX = "weights"


def folder_name(step: int, digest: str) -> str:
    """The name of a checkpoint's folder."""
    return f"{step}-{digest[:12]}"


def find_recorded(catalogue: Storage, checkpoint: Checkpoint) -> Checkpoint | None:
    """The catalogue's record of the same tensors at the same step; None if it has none.

    Raises:
        InvalidRecord: The record is damaged.
        StorageError: The catalogue cannot be read.
    """
    folder = f"{checkpoint.model}/{folder_name(checkpoint.step, checkpoint.digest)}"
    return read_record(catalogue, folder)


def add_checkpoint(catalogue: Storage | Uri, checkpoint: Checkpoint, files: dict[str, Path]) -> Checkpoint:
    """Copy a checkpoint's files into the catalogue, then its record; repeating it changes nothing.

    Args:
        catalogue: A folder or a `gs://` URI, or its opened storage.
        checkpoint: The record; its digest names the folder.
        files: Name in the folder to local file; empty for a checkpoint that stays where it is.

    Returns:
        The record in the catalogue: an earlier one of the same digest if there is one.

    Raises:
        StorageError: The catalogue cannot be written.
    """
    storage = open_storage(catalogue) if isinstance(catalogue, str) else catalogue
    folder = f"{checkpoint.model}/{folder_name(checkpoint.step, checkpoint.digest)}"
    existing = read_record(storage, folder)
    if existing is not None:
        return existing
    for name, path in sorted(files.items()):
        create_or_match(storage, f"{folder}/{name}", scan_file(path, name), path)
    try:
        storage.create(f"{folder}/{CHECKPOINT_RECORD}", checkpoint.to_bytes())
    except AlreadyThere:
        return add_checkpoint(catalogue, checkpoint, files)
    return checkpoint


def fetch_checkpoint(reference: Checkpoint | Uri, scratch: Path) -> tuple[Path, Checkpoint | None]:
    """Make a checkpoint's files available on this machine.

    Args:
        reference: Its record, its folder in a catalogue, or any checkpoint's URI.
        scratch: The folder for files from a bucket.

    Returns:
        The local prefix or file, and the record; None for files outside of a catalogue.

    Raises:
        CheckpointNotFound: Nothing is there.
        CheckpointCorrupt: A file was replaced or removed meanwhile.
    """
    if isinstance(reference, Checkpoint):
        return fetch_files(reference.files_uri, scratch), reference
    record = find_record(reference)
    return fetch_files(record.files_uri if record else reference, scratch), record


def find_record(uri: Uri) -> Checkpoint | None:
    """The record of a checkpoint in the catalogue.

    Args:
        uri: Its folder, local or `gs://`.

    Returns:
        The record with the folder's current URI; None if it is not a folder of a catalogue.

    Raises:
        InvalidRecord: The record is damaged.
        StorageError: The bucket cannot be read.
    """
    if not uri.is_bucket and not Path(uri).is_dir():
        return None
    return read_record(open_storage(uri.absolute()), "")


def demand_model(record: Checkpoint, model: str) -> None:
    """Refuse a checkpoint of another model.

    Raises:
        CheckpointMismatch: The record names another model.
    """
    if record.model != model:
        raise CheckpointMismatch(
            f"{record.uri}: expected a checkpoint of model {model!r}, got one of {record.model!r}."
            " Name a checkpoint of this model."
        )


def read_record(storage: Storage, folder: str) -> Checkpoint | None:
    """The record in a folder of the catalogue.

    Args:
        storage: The catalogue.
        folder: The checkpoint's folder in it; empty if the storage is that folder.

    Returns:
        The record; None if there is none. A record with files of its own has their current
        URI, because a catalogue may be moved.

    Raises:
        InvalidRecord: It is damaged.
        StorageError: The catalogue cannot be read.
    """
    name = f"{folder}/{CHECKPOINT_RECORD}" if folder else CHECKPOINT_RECORD
    text = storage.read(name)
    if text is None:
        return None
    record = Checkpoint.from_text(text, f"{storage.uri}/{name}")
    if storage.uri.is_bucket and not record.prefix and not record.uri.is_bucket:
        raise InvalidRecord(
            f"{storage.uri}/{name}: expected a checkpoint in a bucket, got the local path {record.uri}."
            " Adopt the checkpoint again, without --in-place."
        )
    where = storage.uri / folder if folder else storage.uri
    return replace(record, uri=where.absolute()) if record.prefix else record


def fetch_files(uri: Uri, folder: Path, step: int | None = None) -> Path:
    """Download all files of a checkpoint, of any format, and compare checksums.

    Args:
        uri: A file, a prefix, or a folder with checkpoints, local or `gs://`.
        folder: The folder for files from a bucket.
        step: Which checkpoint of a folder with several.

    Returns:
        The local prefix of a TensorBundle or of TF1's Saver V1, or the local file of another
        format. Local files are not copied.

    Raises:
        CheckpointNotFound: No checkpoint, or no single one, matches.
        CheckpointCorrupt: A file was replaced or removed meanwhile.
        DiskFull: There is no room for the files.
        StorageError: The bucket cannot be read.
    """
    return fetch_located(locate_checkpoint(uri, step), folder)


def fetch_located(located: Located, folder: Path) -> Path:
    """Download the files of a checkpoint that was located already."""
    if located.folder.local is not None:
        return located.folder.local / located.name
    folder.mkdir(parents=True, exist_ok=True)
    demand_room(folder, sum(file.size for file in located.files))
    in_parallel(lambda file: _fetch(located.folder, file, folder), located.files)
    return folder / located.name


def _fetch(source: Folder, file: FoundFile, folder: Path) -> None:
    try:
        generation = open_storage(source.uri).download(file.name, folder / file.name).generation
    except Absent:
        generation = None
    if generation != file.generation:
        raise CheckpointCorrupt(
            f"{source.uri_of(file.name)}: the file was replaced or removed while it was being read. Choose"
            " a checkpoint that is no longer being written."
        )
