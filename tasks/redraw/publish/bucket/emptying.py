"""Remove all that lies in a version's folder, in an order in which no reader meets half a model."""

from __future__ import annotations

import contextlib

from redraw.errors import ObjectConflict
from redraw.storage.opening import Changed, Storage, StoredObject, in_parallel

__all__ = ["empty_folder"]

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
# The second listing finds nothing, unless a push of the same version was under way.
_ROUNDS = 5


def empty_folder(storage: Storage, folder: str) -> None:
    """Remove a folder's objects, the graph first.

    Args:
        storage: The model bucket.
        folder: Its name there, with a slash at the end.

    Raises:
        ObjectConflict: Somebody keeps writing into it.
    """
    for _ in range(_ROUNDS):
        found = storage.list(folder)
        if not found:
            return
        graphs = [item for item in found if item.name.removeprefix(folder) in _GRAPHS]
        _delete(storage, graphs)
        _delete(storage, [item for item in found if item not in graphs])
    raise ObjectConflict(
        f"{storage.uri}/{folder}: expected an empty folder after {_ROUNDS} removals, got"
        " objects again each time. Find out who writes them, and run it again."
    )


def _delete(storage: Storage, objects: list[StoredObject]) -> None:
    def delete(item: StoredObject) -> None:
        # Written again since it was listed: the next listing shows it as it is.
        with contextlib.suppress(Changed):
            storage.delete(item.name, item.generation)

    in_parallel(delete, objects)
