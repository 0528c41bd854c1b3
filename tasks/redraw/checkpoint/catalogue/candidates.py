"""Go through a folder or a bucket once, and group the files that may form a checkpoint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from redraw.checkpoint.formats.folder import Folder, FoundFile
from redraw.checkpoint.formats.locate import (
    KERAS_FILE,
    PIECE,
    SHARD_INDEX,
    SHARD_OF_KERAS,
    Located,
    list_located,
    step_in_name,
)
from redraw.errors import CheckpointCorrupt
from redraw.storage.opening import StoredObject, open_storage
from redraw.uri import Uri

logger = logging.getLogger(__name__)

_SUFFIX = re.compile(r"(\.index|\.data-\d+-of-\d+|\.meta|-\d{5}-of-\d{5})\Z")
# A SavedModel's weights are a checkpoint too, but not one that training saved.
_SAVED_MODEL = re.compile(r"(.*/)?variables/variables")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Files that belong together according to their names.

    Attributes:
        folder: Their folder; it lists only them.
        name: The common beginning of their names.
    """

    folder: Folder
    name: str

    @property
    def uri(self) -> Uri:
        """The checkpoint's URI, if they form one."""
        return self.folder.uri_of(self.name)

    def locate(self) -> Located | None:
        """The checkpoint that the files form; None if they are something else.

        Raises:
            CheckpointCorrupt: Some of the checkpoint's files are missing.
            StorageError: The bucket cannot be read.
        """
        located = next(list_located(self.folder), None)
        if located is not None:
            return located
        leftover = next(
            (name for name in self.folder.files if ".data-" in name or KERAS_FILE.fullmatch(name)), None
        )
        if leftover is None:
            return None
        expected = (
            "an .index file next to the data files"
            if ".data-" in leftover
            else "a Keras archive (.keras) or an HDF5 file"
        )
        raise CheckpointCorrupt(
            f"{self.uri}: expected {expected}, found only {', '.join(sorted(self.folder.files))}, or a"
            " damaged file. Copy all files of the checkpoint again, or move them out of the folder."
        )


def list_candidates(uri: Uri, *, recursive: bool) -> Iterator[Candidate]:
    """Go through a folder in the order of its files' names.

    Args:
        uri: A local folder, or `gs://BUCKET/PREFIX`.
        recursive: Whether to go into the folders in it.

    Yields:
        Groups of files. Only the names of files in incomplete groups are in memory.

    Raises:
        StorageError: The bucket cannot be listed.
    """
    for stem, items in _group_by_stem(open_storage(uri).walk(deep=recursive)):
        if PIECE.fullmatch(stem):
            logger.info("skipped %s: it is a part of no whole checkpoint", uri / stem)
        elif any(_is_of_checkpoint(item.name) for item in items) and not _SAVED_MODEL.fullmatch(stem):
            folder, _, name = stem.rpartition("/")
            files = (_file(item, folder) for item in items)
            where = uri / folder if folder else uri
            yield Candidate(folder=Folder(uri=where, files={file.name: file for file in files}), name=name)


def _is_of_checkpoint(name: str) -> bool:
    return bool(_SUFFIX.search(name) or KERAS_FILE.fullmatch(name) or step_in_name(name) is not None)


def _group_by_stem(objects: Iterable[StoredObject]) -> Iterator[tuple[str, list[StoredObject]]]:
    """Group objects by the beginning of their names; they come sorted, so a new stem ends a group."""
    pending: list[tuple[str, list[StoredObject]]] = []
    for item in objects:
        stem = _SUFFIX.sub("", item.name)
        while pending and not item.name.startswith(pending[-1][0].removesuffix(SHARD_INDEX)):
            yield pending.pop()
        # The index of Keras sorts before its shards.
        shard = SHARD_OF_KERAS.fullmatch(item.name)
        index = f"{shard['base']}{SHARD_INDEX}" if shard else stem
        group = next((items for name, items in pending if name in (stem, index)), None)
        if group is None:
            pending.append((stem, group := []))
        group.append(item)
    yield from reversed(pending)


def _file(item: StoredObject, folder: str) -> FoundFile:
    name = item.name[len(folder) + 1 if folder else 0 :]
    return FoundFile(name=name, size=item.size, generation=item.generation, written_at=item.written_at)
