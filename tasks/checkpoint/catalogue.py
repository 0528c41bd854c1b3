"""The checkpoint catalogue: whole checkpoints, each in a folder with its record.

    <catalogue>/<model>/<step>-<digest>/weights.index, weights.data-…, record.json

The record is written last, so a folder without one is not yet a checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path

from tasks.checkpoint.bundle_reader import find_bundle_prefix
from tasks.errors import CheckpointMismatch, CheckpointNotFound
from tasks.files import scan_file
from tasks.records import Checkpoint
from tasks.storage import AlreadyThere, Storage, create_or_match, download_tree, open_storage

__all__ = ["PREFIX", "add_checkpoint", "demand_model", "fetch_checkpoint", "find_record", "folder_name"]

PREFIX = "weights"
_RECORD = "record.json"


def folder_name(step: int, digest: str) -> str:
    """The name of a checkpoint's folder."""
    return f"{step}-{digest[:12]}"


def add_checkpoint(catalogue: str, checkpoint: Checkpoint, files: dict[str, Path]) -> Checkpoint:
    """Copy a checkpoint's files into the catalogue, then its record; again changes nothing.

    Args:
        catalogue: A folder or a `gs://` URI.
        checkpoint: The record; its digest names the folder.
        files: Name in the folder to local file.

    Returns:
        The record in the catalogue: an earlier one of the same digest if there is one.

    Raises:
        StorageError: The catalogue cannot be written.
    """
    storage = open_storage(catalogue)
    folder = f"{checkpoint.model}/{folder_name(checkpoint.step, checkpoint.digest)}"
    known = storage.read(f"{folder}/{_RECORD}")
    if known is not None:
        return Checkpoint.from_text(known, f"{storage.uri}/{folder}/{_RECORD}")
    for name, path in sorted(files.items()):
        create_or_match(storage, f"{folder}/{name}", scan_file(path, name))
    try:
        storage.create(f"{folder}/{_RECORD}", json.dumps(checkpoint.to_json(), indent=2).encode())
    except AlreadyThere:
        return add_checkpoint(catalogue, checkpoint, files)
    return checkpoint


def fetch_checkpoint(reference: Checkpoint | str, scratch: Path) -> tuple[Path, Checkpoint | None]:
    """Make a checkpoint's files available on this machine.

    Args:
        reference: Its record, its folder (local or `gs://`), or a local TensorFlow prefix.
        scratch: Where files from a bucket are put.

    Returns:
        The local prefix, and the record; None for files that are in no catalogue.

    Raises:
        CheckpointNotFound: Nothing is there.
        CheckpointCorrupt: An index without its data.
    """
    uri = reference.uri if isinstance(reference, Checkpoint) else reference
    if uri.startswith("gs://"):
        storage = open_storage(uri)
        record = _read_record(storage)
        if record is None and not storage.list():
            raise CheckpointNotFound(f"{uri}: expected a checkpoint, got nothing. Check the URI.")
        download_tree(storage, "", scratch)
        folder = scratch
    else:
        folder = Path(uri)
        record = _read_record(open_storage(uri)) if folder.is_dir() else None
    prefix = find_bundle_prefix(folder)
    return prefix, reference if isinstance(reference, Checkpoint) else record


def find_record(uri: str) -> Checkpoint | None:
    """The record of a checkpoint in the catalogue.

    Args:
        uri: Its folder, local or `gs://`.

    Returns:
        The record; None for what is no folder of the catalogue.

    Raises:
        InvalidRecord: The record is damaged.
        StorageError: The bucket cannot be read.
    """
    if not uri.startswith("gs://") and not Path(uri).is_dir():
        return None
    return _read_record(open_storage(uri))


def demand_model(record: Checkpoint, model: str) -> None:
    """Refuse a checkpoint of another model.

    Raises:
        CheckpointMismatch: It is of another model.
    """
    if record.model != model:
        raise CheckpointMismatch(
            f"{record.uri}: expected a checkpoint of model {model!r}, got one of {record.model!r}."
            " Name a checkpoint of this model."
        )


def _read_record(storage: Storage) -> Checkpoint | None:
    text = storage.read(_RECORD)
    return None if text is None else Checkpoint.from_text(text, f"{storage.uri}/{_RECORD}")
