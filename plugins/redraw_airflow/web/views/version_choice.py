"""The versions that a version can be compared with, and the labels of each."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.errors import VersionNotFound
from redraw.publish.browse import Browser
from redraw.publish.version_rows import VersionRow
from redraw.records import LivePointer, Release

# A longer list does not help; any other version can be opened by its address.
_MOST_OFFERED = 500


@dataclass(frozen=True, kw_only=True)
class VersionChoice:
    """The versions that a page offers next to its own.

    Attributes:
        offered: The versions, each with its labels, the newest weights first.
        other: The version to compare with; None if there is no other.
        more: How many more versions there are than those offered.
    """

    offered: tuple[tuple[int, str], ...]
    other: int | None
    more: int

    @property
    def options(self) -> list[tuple[int, str]]:
        """The offered versions as value and text of a select field."""
        return [(number, f"{number} ({names})" if names else str(number)) for number, names in self.offered]


def offer_versions(
    browser: Browser, pointer: LivePointer, release: Release, other: int | None
) -> VersionChoice:
    """Offer the versions that a version can be compared with.

    Args:
        browser: The bucket's browser.
        pointer: The model's live pointer.
        release: The version of the page.
        other: The requested version; None for the live version, or the one that was live before it.

    Raises:
        VersionNotFound: The requested version was never published.
    """
    versions = browser.numbers(release.model)
    others = [version for version in versions if version != release.version]
    if other is not None and other not in versions:
        raise VersionNotFound(
            f"{browser.storage.uri}/{release.model}/{other}: expected a published version to compare with,"
            " found none. Choose another version."
        )
    chosen = other if other is not None else _likely(pointer, release, others)
    offered = others[:_MOST_OFFERED]
    if chosen in others[_MOST_OFFERED:]:
        offered.append(chosen)
    return VersionChoice(
        offered=tuple((version, ", ".join(_names(version, pointer))) for version in offered),
        other=chosen,
        more=len(others) - len(offered),
    )


def _names(version: int, pointer: LivePointer) -> list[str]:
    names = ["live"] if version == pointer.version else []
    names += ["previous"] if version == pointer.previous else []
    names += sorted(
        name for name, labelled in pointer.labels.items() if labelled == version and name != "stable"
    )
    marks = {"pinned": pointer.pinned, "rejected": pointer.rejected}
    return [*names, *(mark for mark, versions in marks.items() if str(version) in versions)]


def _likely(pointer: LivePointer, release: Release, others: list[int]) -> int | None:
    candidates = (pointer.version, pointer.previous, release.previous, *others)
    return next((version for version in candidates if version in others), None)


def version_labels(pointer: LivePointer, row: VersionRow) -> tuple[tuple[str, str], ...]:
    """The labels of a version from the live pointer and the release record.

    Returns:
        Pairs of a label (`live`, `previous`, `canary`, `pinned`, `rejected`, `pruned`, `pruning`) and its
        description in a sentence, which may be empty.
    """
    version = row.version
    labels = [
        (
            "live",
            "Servers that follow the live pointer load this version." if pointer.version == version else None,
        ),
        (
            "previous",
            "This version was live before the live version." if pointer.previous == version else None,
        ),
        (
            "canary",
            "This version is served next to the live version."
            if pointer.labels.get("canary") == version
            else None,
        ),
        ("pinned", pointer.pinned.get(str(version))),
        ("rejected", pointer.rejected.get(str(version))),
        ("pruned", f"The files of this version were removed at {row.pruned_at}." if row.pruned_at else None),
        ("pruning", "The files of this version are being removed." if version in pointer.pruning else None),
    ]
    return tuple((name, description) for name, description in labels if description is not None)
