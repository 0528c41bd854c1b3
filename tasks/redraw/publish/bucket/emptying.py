"""Remove all objects of versions' folders, in an order in which no reader finds half a model."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator

from redraw.errors import ObjectConflict
from redraw.storage.opening import Storage, StoredObject, in_parallel

_GRAPHS = ("/saved_model.pb", "/saved_model.pbtxt")
# The second listing is empty, unless a push of the same version is under way.
_ROUNDS = 5
# Digits of a version that give year and month: the versions of one month are listed together.
_MONTH = 6


def empty_folders(storage: Storage, folders: Collection[str]) -> None:
    """Remove the objects of folders, the graphs first.

    Args:
        storage: The model bucket.
        folders: Their names in the bucket, each with a slash at the end.

    Raises:
        ObjectConflict: Another process keeps writing into one of them.
    """
    for _ in range(_ROUNDS):
        objects = list_folders(storage, folders)
        if not objects:
            return
        _delete(storage, [item for item in objects if item.name.endswith(_GRAPHS)])
        _delete(storage, [item for item in objects if not item.name.endswith(_GRAPHS)])
        # An object that was written again after the listing is not deleted; the next listing shows it.
        folders = {_folder_of(item, folders) for item in objects}
    raise ObjectConflict(
        f"{storage.uri}/{min(folders)}: expected an empty folder after {_ROUNDS} removals, but something"
        " keeps writing objects into it. Stop the writer (see the bucket's audit log), then run the same"
        " command again."
    )


def list_folders(storage: Storage, folders: Collection[str]) -> list[StoredObject]:
    """The objects of some folders; one listing covers a month, because a page of a listing holds many."""
    groups: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        parent, _, name = folder.rstrip("/").rpartition("/")
        groups[f"{parent}/{name[:_MONTH]}"].append(folder)

    def find(group: list[str]) -> list[StoredObject]:
        names = set(group)
        walked = storage.walk(os.path.commonprefix(group))
        return [item for item in walked if not names.isdisjoint(parents_of(item))]

    return [item for objects in in_parallel(find, groups.values()) for item in objects]


def parents_of(item: StoredObject) -> Iterator[str]:
    """The folders that contain an object, the outermost first, each with a slash at the end."""
    parts = item.name.split("/")
    return ("/".join(parts[:count]) + "/" for count in range(1, len(parts)))


def _folder_of(item: StoredObject, folders: Collection[str]) -> str:
    return next(parent for parent in parents_of(item) if parent in folders)


def _delete(storage: Storage, objects: list[StoredObject]) -> None:
    storage.delete_many(objects)
