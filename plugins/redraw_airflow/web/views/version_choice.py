"""Which of a model's versions to compare another one with, and what people call each of them."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.errors import VersionNotFound
from redraw.publish.browse import Browser
from redraw.publish.version_rows import VersionRow
from redraw.records import LivePointer, Release

# A list of more is no help; any other version has its address.
_MOST_OFFERED = 500


@dataclass(frozen=True, kw_only=True)
class VersionChoice:
    """The versions that a page offers next to its own.

    Attributes:
        offered: Each with what it is called, the newest weights first.
        other: The version to compare with; None if there is no other.
        more: How many more there are than those offered.
    """

    offered: tuple[tuple[int, str], ...]
    other: int | None
    more: int

    @property
    def worded(self) -> list[tuple[int, str]]:
        """The same as a list to choose from shows them."""
        return [(number, f"{number} ({names})" if names else str(number)) for number, names in self.offered]


def offer_versions(
    browser: Browser, pointer: LivePointer, release: Release, other: int | None
) -> VersionChoice:
    """Offer the versions that a version can be checked against.

    Args:
        browser: The bucket's.
        pointer: The model's.
        release: The version that is looked at.
        other: The one that was asked for; without, it is the live one, or the one live before it.

    Raises:
        VersionNotFound: The one asked for was never published.
    """
    versions = browser.numbers(release.model)
    others = [version for version in versions if version != release.version]
    if other is not None and other not in versions:
        raise VersionNotFound(
            f"{browser.storage.uri}/{release.model}/{other}: expected a published version to compare with,"
            " got none. Choose another one."
        )
    chosen = other if other is not None else _likely(pointer, release, others)
    shown = others[:_MOST_OFFERED]
    if chosen in others[_MOST_OFFERED:]:
        shown.append(chosen)
    return VersionChoice(
        offered=tuple((version, ", ".join(_names(version, pointer))) for version in shown),
        other=chosen,
        more=len(others) - len(shown),
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
    wanted = (pointer.version, pointer.previous, release.previous, *others)
    return next((version for version in wanted if version in others), None)


def version_labels(pointer: LivePointer, row: VersionRow) -> tuple[tuple[str, str], ...]:
    """Say what the live pointer and the release record make of a version.

    Returns:
        Pairs: what it is (`live`, `previous`, `canary`, `pinned`, `rejected`, `pruned`), and more about
        that in a sentence, which may be empty.
    """
    version = row.version
    found = [
        ("live", "Servers that follow the live pointer load it." if pointer.version == version else None),
        ("previous", "It was live before the live one." if pointer.previous == version else None),
        (
            "canary",
            "It is served next to the live version." if pointer.labels.get("canary") == version else None,
        ),
        ("pinned", pointer.pinned.get(str(version))),
        ("rejected", pointer.rejected.get(str(version))),
        ("pruned", f"Its files were removed at {row.pruned_at}." if row.pruned_at else None),
        ("pruning", "Its files are being removed." if version in pointer.pruning else None),
    ]
    return tuple((name, more) for name, more in found if more is not None)
