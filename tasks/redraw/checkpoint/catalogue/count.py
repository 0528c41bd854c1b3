"""Count a model's checkpoints in the catalogue without reading any of their records."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.names import CHECKPOINT_RECORD, ModelName
from redraw.storage.opening import Storage

_BOUND = 5000


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many were found, and whether these are all; the count stops at a bound."""

    found: int
    complete: bool


def count_checkpoints(catalogue: Storage, model: ModelName, bound: int = _BOUND) -> Count:
    """Count the checkpoints that have a record.

    Args:
        catalogue: The catalogue.
        model: The definition's name.
        bound: The largest number of objects to list; a request returns a thousand.

    Raises:
        StorageError: The catalogue cannot be read.
    """
    records = 0
    for number, item in enumerate(catalogue.walk(f"{model}/")):
        if number == bound:
            return Count(found=records, complete=False)
        records += item.name.endswith(f"/{CHECKPOINT_RECORD}")
    return Count(found=records, complete=True)
