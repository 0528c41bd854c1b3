"""An index of a model's releases, so that a prune need not read every record again.

    <model>/releases/index.json   for each release record: its generation, and the fields that a prune needs

The index is only a cache. An entry counts only if its generation is the listed one, and missing records are
read. A prune also reads the records of all versions that it removes, and of the newest, before it uses the
index.
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

# How long after a prune a stopped push may have left objects in the version's folder.
_RECENT = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class IndexedRelease:
    """The fields of a release record that a prune needs.

    Attributes:
        generation: Of the record.
        version: The version.
        size_bytes: Of its objects.
        pushed_at: When it was published.
        previous: Which version was live then.
        pruned_at: When it was pruned; None if it was not.
        pruned_for: Why it was pruned.
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
        """The entry of a record."""
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
        """Whether a push that was under way during the prune may still write objects."""
        return self.pruned_at is not None and datetime.now(UTC) - _parsed(self.pruned_at) < _RECENT


@dataclass(frozen=True, kw_only=True)
class ReleaseIndex(Record):
    """The releases of a model.

    Attributes:
        model: The definition's name.
        releases: Those that are not pruned, and those that were pruned recently.
        pruned: The others: version, in decimal digits, to the generation of its record.
        live_before: A version that was live before one of the others, by its record.
    """

    schema: ClassVar[int] = 1

    model: ModelName
    releases: tuple[IndexedRelease, ...]
    pruned: Mapping[VersionText, Count]
    live_before: Version | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseFacts:
    """A model's releases, as read from the index and the records.

    Attributes:
        index: The up-to-date index.
        records: The records that had to be read, by version.
        unreadable: The versions whose record is damaged, or of a newer Redraw.
        written_at: When each record was written, by the storage's clock, in seconds since 1970 UTC.
    """

    index: ReleaseIndex
    records: Mapping[int, Release]
    unreadable: Mapping[int, UnreadableRecord]
    written_at: Mapping[int, float]


def index_name(model: str) -> str:
    """The object that holds the index; its name is not that of a version's record."""
    return f"{model}/releases/index.json"


def load_releases(storage: Storage, model: ModelName, *, afresh: bool = False) -> ReleaseFacts:
    """Read the records that the index does not have in their current generation.

    Args:
        storage: The model bucket.
        model: The definition's name.
        afresh: Whether to read all records.
    """
    start = f"{model}/releases/"
    by_stem = {item.name.removeprefix(start).removesuffix(".json"): item for item in storage.walk(start)}
    items = {int(stem): item for stem, item in by_stem.items() if is_version(stem)}
    generations = {version: item.generation for version, item in items.items()}
    before = _read_index(storage, model) if not afresh and "index" in by_stem else None
    releases, pruned = _unchanged(before, generations)
    unchanged = {entry.version for entry in releases} | set(map(int, pruned))
    records, unreadable = read_records(storage, model, generations.keys() - unchanged)
    read = [IndexedRelease.of(record, generations[version]) for version, record in records.items()]
    index = _condense(model, [*releases, *read], pruned, before.live_before if before else None)
    written_at = {version: item.written_at for version, item in items.items()}
    return ReleaseFacts(index=index, records=records, unreadable=unreadable, written_at=written_at)


def with_changes(index: ReleaseIndex, changed: Mapping[int, IndexedRelease]) -> ReleaseIndex:
    """The index after some of its records were replaced."""
    releases = {**{entry.version: entry for entry in index.releases}, **changed}
    pruned = {version: number for version, number in index.pruned.items() if int(version) not in changed}
    return _condense(index.model, releases.values(), pruned, index.live_before)


def store_index(storage: Storage, index: ReleaseIndex) -> None:
    """Store the index, so that the next prune need not read every record."""
    name = index_name(index.model)
    try:
        content = encode_record(index)
        stored = storage.read_with_generation(name)
        if stored is None:
            storage.create(name, content)
        elif stored[0] != content:
            storage.replace(name, content, stored[1])
    except (AlreadyThere, Changed):
        pass  # another prune has stored its index, which is as good
    except (InvalidRecord, StorageForbidden) as err:
        logger.warning(
            "%s/%s is not stored, and the next prune reads every record: %s", storage.uri, name, err
        )


def _read_index(storage: Storage, model: ModelName) -> ReleaseIndex | None:
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
    """The entries of the index whose records still have the same generation."""
    if index is None:
        return [], {}
    releases = [entry for entry in index.releases if generations.get(entry.version) == entry.generation]
    current = {entry.version for entry in releases}
    pruned = {
        version: generation
        for version, generation in index.pruned.items()
        if generations.get(int(version)) == generation and int(version) not in current
    }
    return releases, pruned


def _condense(
    model: ModelName,
    releases: Iterable[IndexedRelease],
    pruned: Mapping[VersionText, int],
    live_before: int | None,
) -> ReleaseIndex:
    """Make an index that has only the generation of versions that were pruned long ago."""
    listed, condensed = [], dict(pruned)
    for entry in sorted(releases, key=lambda entry: entry.version, reverse=True):
        if entry.pruned_at is None or entry.recently_pruned:
            listed.append(entry)
        else:
            condensed[str(entry.version)] = entry.generation
            live_before = live_before or entry.previous
    ordered = dict(sorted(condensed.items()))
    return replace(ReleaseIndex(model=model, releases=tuple(listed), pruned=ordered), live_before=live_before)


def _parsed(time: str) -> datetime:
    return datetime.fromisoformat(time)
