"""What a prune has to know of a model's releases, without reading every record again.

    <model>/releases/index.json   of each release record: the generation that was read, and what it said

It is a memory, and decides nothing: what it says of a record counts only for the generation that the listing
shows, whatever is missing is read, and a prune reads the records of all that it removes, and of those that
stay for being new, before it believes the index.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from redraw.errors import InvalidRecord, StorageForbidden
from redraw.names import ModelName
from redraw.publish.bucket.layout import encode_record, is_version, read_records
from redraw.records import Record, Release, UnreadableRecord
from redraw.records.forms import Count, Time, Version, VersionText
from redraw.storage.opening import AlreadyThere, Changed, Storage

logger = logging.getLogger(__name__)

# So long a push that was stopped may have left something in the folder of a pruned version.
_RECENT = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class IndexedRelease:
    """What a release record says, in the generation that was read.

    Attributes:
        generation: Of the record.
        version: As `Release.version`, and so are the next three.
        size_bytes: Of its objects.
        pushed_at: When it was published.
        previous: Which version was live then.
        pruned_at: When it was pruned; None while it stands.
        pruned_for: Why.
    """

    generation: Count
    version: Version
    size_bytes: Count
    pushed_at: Time
    previous: Version | None = None
    pruned_at: Time | None = None
    pruned_for: str = ""

    @classmethod
    def of(cls, release: Release, generation: int) -> IndexedRelease:
        """What there is to know of a record."""
        return cls(
            generation=generation,
            version=release.version,
            size_bytes=release.size_bytes,
            pushed_at=release.pushed_at,
            previous=release.previous,
            pruned_at=release.pruned.pruned_at if release.pruned else None,
            pruned_for=release.pruned.reason if release.pruned else "",
        )

    @property
    def recently_pruned(self) -> bool:
        """Whether a push that was under way then may still end."""
        return self.pruned_at is not None and datetime.now(UTC) - _parsed(self.pruned_at) < _RECENT


@dataclass(frozen=True, kw_only=True)
class ReleaseIndex(Record):
    """The releases of a model.

    Attributes:
        model: The definition's name.
        releases: Those that stand, and those that were pruned lately.
        pruned: Of the others the version, in decimal digits, and the generation of its record.
        live_before: A version that one of the others names as live when it was published.
    """

    schema: ClassVar[int] = 1

    model: ModelName
    releases: tuple[IndexedRelease, ...]
    pruned: Mapping[VersionText, Count]
    live_before: Version | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a model's releases.

    Attributes:
        index: Everything that was read, now or before.
        records: The records that were read now, by version.
        unreadable: The versions whose record is damaged, or of a newer Redraw.
        written_at: When each record was written, by the storage's clock, in seconds since 1970 UTC.
    """

    index: ReleaseIndex
    records: Mapping[int, Release]
    unreadable: Mapping[int, UnreadableRecord]
    written_at: Mapping[int, float]


def index_name(model: str) -> str:
    """The object that holds the index; nothing takes it for a version's record."""
    return f"{model}/releases/index.json"


def know_releases(storage: Storage, model: ModelName, *, afresh: bool = False) -> Known:
    """Read the records that the index does not know as they are.

    Args:
        storage: The model bucket.
        model: The definition's name.
        afresh: Whether to read all of them.
    """
    start = f"{model}/releases/"
    listed = {item.name.removeprefix(start).removesuffix(".json"): item for item in storage.walk(start)}
    items = {int(stem): item for stem, item in listed.items() if is_version(stem)}
    generations = {version: item.generation for version, item in items.items()}
    before = _stored(storage, model) if not afresh and "index" in listed else None
    releases, pruned = _unchanged(before, generations)
    known = {entry.version for entry in releases} | set(map(int, pruned))
    records, unreadable = read_records(storage, model, generations.keys() - known)
    read = [IndexedRelease.of(record, generations[version]) for version, record in records.items()]
    index = _condensed(model, [*releases, *read], pruned, before.live_before if before else None)
    written_at = {version: item.written_at for version, item in items.items()}
    return Known(index=index, records=records, unreadable=unreadable, written_at=written_at)


def with_changes(index: ReleaseIndex, changed: Mapping[int, IndexedRelease]) -> ReleaseIndex:
    """The index after some of its records were replaced."""
    releases = {**{entry.version: entry for entry in index.releases}, **changed}
    pruned = {version: number for version, number in index.pruned.items() if int(version) not in changed}
    return _condensed(index.model, releases.values(), pruned, index.live_before)


def remember_releases(storage: Storage, index: ReleaseIndex) -> None:
    """Store the index, for the next prune; without it that one reads every record."""
    name = index_name(index.model)
    try:
        content = encode_record(index)
        found = storage.read_with_generation(name)
        if found is None:
            storage.create(name, content)
        elif found[0] != content:
            storage.replace(name, content, found[1])
    except (AlreadyThere, Changed):
        pass  # another prune has stored what it read, which is as good
    except (InvalidRecord, StorageForbidden) as err:
        logger.warning(
            "%s/%s is not stored, and the next prune reads every record: %s", storage.uri, name, err
        )


def _stored(storage: Storage, model: ModelName) -> ReleaseIndex | None:
    name = index_name(model)
    try:
        content = storage.read(name)
        index = ReleaseIndex.from_text(content, f"{storage.uri}/{name}") if content else None
    except InvalidRecord as err:
        logger.warning("not used, and made again: %s", err)
        return None
    return index if index is not None and index.model == model else None


def _unchanged(
    index: ReleaseIndex | None, generations: Mapping[int, int]
) -> tuple[list[IndexedRelease], dict[VersionText, int]]:
    """What the index says of records that are still those which it was made of."""
    if index is None:
        return [], {}
    releases = [entry for entry in index.releases if generations.get(entry.version) == entry.generation]
    seen = {entry.version for entry in releases}
    pruned = {
        version: generation
        for version, generation in index.pruned.items()
        if generations.get(int(version)) == generation and int(version) not in seen
    }
    return releases, pruned


def _condensed(
    model: ModelName,
    releases: Iterable[IndexedRelease],
    pruned: Mapping[VersionText, int],
    live_before: int | None,
) -> ReleaseIndex:
    """The index, in which versions that were pruned long ago take a line each."""
    kept, gone = [], dict(pruned)
    for entry in sorted(releases, key=lambda entry: entry.version, reverse=True):
        if entry.pruned_at is None or entry.recently_pruned:
            kept.append(entry)
        else:
            gone[str(entry.version)] = entry.generation
            live_before = live_before or entry.previous
    ordered = dict(sorted(gone.items()))
    return replace(ReleaseIndex(model=model, releases=tuple(kept), pruned=ordered), live_before=live_before)


def _parsed(time: str) -> datetime:
    return datetime.fromisoformat(time)
