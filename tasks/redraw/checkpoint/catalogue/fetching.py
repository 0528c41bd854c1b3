"""Bring a checkpoint's files to this machine, for those who can read nothing else."""

from __future__ import annotations

from pathlib import Path

from redraw.checkpoint.formats.folder import Folder, FoundFile
from redraw.checkpoint.formats.locate import Located, locate_checkpoint
from redraw.errors import CheckpointCorrupt
from redraw.storage.opening import Absent, in_parallel, open_storage
from redraw.storage.scratch import demand_room
from redraw.uri import Uri


def fetch_files(uri: Uri, folder: Path, step: int | None = None) -> Path:
    """Copy all files of a checkpoint, of any format, out of its bucket; checksums are compared.

    Args:
        uri: As `open_checkpoint` takes it: a file, a prefix, or a folder with checkpoints, local
            or `gs://`.
        folder: Where files from a bucket go.
        step: Which one of a folder with several.

    Returns:
        The local prefix of a TensorBundle or of TF1's Saver V1, or the local file of another
        format. What lies on this machine is not copied.

    Raises:
        CheckpointNotFound: There is none, not that step's, or several.
        CheckpointCorrupt: A file was replaced or removed meanwhile.
        DiskFull: There is no room for the files.
        StorageError: The bucket cannot be read.
    """
    return fetch_located(locate_checkpoint(uri, step), folder)


def fetch_located(located: Located, folder: Path) -> Path:
    """The same for a checkpoint whose files were found already."""
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
            f"{source.uri_of(file.name)}: expected the file as it was listed, got one that was"
            " replaced or removed meanwhile. Choose a checkpoint that nobody writes any more."
        )
