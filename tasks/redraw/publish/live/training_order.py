"""Which of two versions has the older weights, where their numbers alone do not say."""

from __future__ import annotations

from redraw.errors import InvalidRecord
from redraw.publish.bucket.layout import REVISIONS, read_release
from redraw.records import Release
from redraw.storage.opening import Storage


def is_older_in_second(storage: Storage, model: str, version: int, live: int | None) -> bool:
    """Whether a version has older weights than the live one, and is of the same second.

    Another revision of the same checkpoint is not older.

    Args:
        storage: The model bucket.
        model: The definition's name.
        version: The version.
        live: The live one, if there is one.

    Raises:
        StorageError: The bucket does not answer.
    """
    if live is None or version // REVISIONS != live // REVISIONS or version == live:
        return False
    order, live_order = _order(storage, model, version), _order(storage, model, live)
    return order is not None and live_order is not None and order < live_order


def _order(storage: Storage, model: str, version: int) -> tuple[int, str] | None:
    """Step, then digest; None of a version without a readable record, which is checked elsewhere."""
    try:
        release: Release | None = read_release(storage, model, version)
    except InvalidRecord:
        return None
    return None if release is None else (release.checkpoint.step, release.checkpoint.digest)
