"""Remove all that lies in versions' folders, in an order in which no reader meets half a model."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator

from redraw.errors import ObjectConflict
from redraw.storage.opening import Storage, StoredObject, in_parallel

_GRAPHS = ("/saved_model.pb", "/saved_model.pbtxt")
# The second listing finds nothing, unless a push of the same version was under way.
_ROUNDS = 5
# Year and month of versions: those of one month are listed together.
_MONTH = 6


def empty_folders(storage: Storage, folders: Collection[str]) -> None:
    """Remove the objects of folders, the graphs first.

    Args:
        storage: The model bucket.
        folders: Their names there, each with a slash at the end.

    Raises:
        ObjectConflict: Somebody keeps writing into one of them.
    """
    for _ in range(_ROUNDS):
        found = list_folders(storage, folders)
        if not found:
            return
        _delete(storage, [item for item in found if item.name.endswith(_GRAPHS)])
        _delete(storage, [item for item in found if not item.name.endswith(_GRAPHS)])
        # What was written again since it was listed stays: the next listing shows it as it is.
        folders = {_folder_of(item, folders) for item in found}
    raise ObjectConflict(
        f"{storage.uri}/{min(folders)}: expected an empty folder after {_ROUNDS} removals, got"
        " objects again each time. Find out who writes them, and run it again."
    )


def list_folders(storage: Storage, folders: Collection[str]) -> list[StoredObject]:
    """The objects of some folders: those of one month in one listing, for a page holds many."""
    groups: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        parent, _, name = folder.rstrip("/").rpartition("/")
        groups[f"{parent}/{name[:_MONTH]}"].append(folder)

    def find(group: list[str]) -> list[StoredObject]:
        wanted = set(group)
        walked = storage.walk(os.path.commonprefix(group))
        return [item for item in walked if not wanted.isdisjoint(parents_of(item))]

    return [item for found in in_parallel(find, groups.values()) for item in found]


def parents_of(item: StoredObject) -> Iterator[str]:
    """The folders that an object lies in, the outermost first, each with a slash at the end."""
    parts = item.name.split("/")
    return ("/".join(parts[:count]) + "/" for count in range(1, len(parts)))


def _folder_of(item: StoredObject, folders: Collection[str]) -> str:
    return next(parent for parent in parents_of(item) if parent in folders)


def _delete(storage: Storage, objects: list[StoredObject]) -> None:
    storage.delete_many(objects)
