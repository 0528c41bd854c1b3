"""What a version is at the moment, in the words of its labels."""

from __future__ import annotations

from redraw.publish.version_rows import VersionRow
from redraw.records import LivePointer

__all__ = ["version_labels"]


def version_labels(pointer: LivePointer, row: VersionRow) -> tuple[tuple[str, str], ...]:
    """Say what the live pointer and the release record make of a version.

    Args:
        pointer: The model's.
        row: The version.

    Returns:
        Pairs: what it is (`live`, `previous`, `canary`, `pinned`, `pruned`), and more about
        that in a sentence, which may be empty.
    """
    version = row.version
    found = [
        ("live", "Servers that follow the pointer load it." if pointer.version == version else None),
        ("previous", "It was live before the live one." if pointer.previous == version else None),
        ("canary", "It stands beside the live one." if pointer.labels.get("canary") == version else None),
        ("pinned", pointer.pinned.get(str(version))),
        ("pruned", f"Its objects were removed at {row.pruned_at}." if row.pruned_at else None),
        ("pruning", "Its objects are being removed." if version in pointer.pruning else None),
    ]
    return tuple((name, more) for name, more in found if more is not None)
