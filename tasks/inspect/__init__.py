"""Show what a checkpoint or a SavedModel holds, read from its files without TensorFlow."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from tasks.checkpoint.bundle_reader import find_bundle_prefix
from tasks.errors import CheckpointNotFound
from tasks.inspect.checkpoint import describe_checkpoint
from tasks.inspect.saved_model import GRAPH_FILE, describe_saved_model
from tasks.records import CheckpointDescription, SavedModelDescription
from tasks.requests import InspectRequest
from tasks.storage import download_tree, open_storage

__all__ = ["inspect_uri"]


def inspect_uri(request: InspectRequest) -> CheckpointDescription | SavedModelDescription:
    """Tell by the files whether it is a checkpoint or a SavedModel, and describe it.

    Args:
        request: The folder of either, or a checkpoint's prefix; local, or in a bucket,
            from where the files are fetched first.

    Returns:
        The tensors of a checkpoint, or the signatures, variables and operations of a
        SavedModel.

    Raises:
        CheckpointNotFound: Neither is there, or the folder holds several checkpoints.
        CheckpointCorrupt: A file is missing, truncated or altered.
        StorageError: The bucket cannot be read.
    """
    if "://" not in request.uri:
        return _describe(Path(request.uri), request.uri)
    with tempfile.TemporaryDirectory(prefix="redraw-inspect-") as scratch:
        return _describe(_fetch(request.uri.rstrip("/"), Path(scratch)), request.uri)


def _describe(path: Path, uri: str) -> CheckpointDescription | SavedModelDescription:
    if (path / GRAPH_FILE).is_file():
        return describe_saved_model(path, uri)
    return describe_checkpoint(find_bundle_prefix(path), uri)


def _fetch(uri: str, scratch: Path) -> Path:
    """Fetch a folder, or the files of a prefix, from a bucket; return where it is now."""
    if download_tree(open_storage(uri), "", scratch):
        return scratch
    folder, _, name = uri.rpartition("/")
    files = []
    if not folder.endswith("/"):
        storage = open_storage(folder)
        files = [item for item in storage.list(f"{name}.") if PurePosixPath(item.name).parent.name == ""]
        for item in files:
            storage.download(item.name, scratch / item.name)
    if not files:
        raise CheckpointNotFound(
            f"{uri}: expected a checkpoint or a SavedModel, got nothing. Correct the URI."
        )
    return scratch / name
