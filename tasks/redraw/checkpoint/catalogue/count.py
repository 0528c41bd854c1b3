"""Count a model's checkpoints in the catalogue without reading any of their records."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.names import CHECKPOINT_RECORD, ModelName
from redraw.storage.opening import Storage

_BOUND = 5000


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many were found, and whether these are all: beyond a bound nobody looked on."""

    found: int
    complete: bool


def count_checkpoints(catalogue: Storage, model: ModelName, bound: int = _BOUND) -> Count:
    """Count the checkpoints that have a record.

    Args:
        catalogue: The catalogue.
        model: The definition's name.
        bound: How many objects to look at, at most: a listing answers a thousand a request.

    Raises:
        StorageError: The catalogue cannot be read.
    """
    found = 0
    for seen, item in enumerate(catalogue.walk(f"{model}/")):
        if seen == bound:
            return Count(found=found, complete=False)
        found += item.name.endswith(f"/{CHECKPOINT_RECORD}")
    return Count(found=found, complete=True)
