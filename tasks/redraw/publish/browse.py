"""What is published, read for people who look through it: a page at a time, and each record once.

A release record never changes but to say that its version was pruned or restored, and then its
generation does: a record that was read is kept by name and generation, so that showing a page again
costs a listing.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cachetools import LRUCache, TTLCache, cachedmethod

from redraw.definition.registry import FoundModel, list_models
from redraw.errors import InvalidRecord, ObjectConflict, StorageUnavailable, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, Claim, is_version, read_claim, read_release
from redraw.publish.live.set_live import read_pointer
from redraw.publish.version_rows import VersionRow, row_of
from redraw.records import LivePointer, Release
from redraw.storage.opening import Absent, Changed, Storage, StoredObject, in_parallel

__all__ = ["Browser", "ModelRow", "UnreadableVersion", "VersionPage", "VersionRow", "undescribed_row"]

# How old a listing may be, in seconds: long enough for the requests of one page.
_LISTING_SECONDS = 2.0
_KEPT_LISTINGS = 1_000
_KEPT_ROWS = 100_000
_PART = 4 << 20
# How many versions of each model the list of models knows.
_RECENT = 20


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A model in the list of models.

    Attributes:
        name: The definition's.
        summary: The first line of its docstring.
        problem: Why its definition cannot be used; empty where it can.
        live: The live version; None before the first.
        live_problem: Why the live pointer cannot be read; empty if it can.
        versions: How many were published, the pruned ones included.
        recent: The last of them, the newest weights first.
        owner: As `FoundModel`, and so are the others.
    """

    name: ModelName
    summary: str
    problem: str
    live: int | None
    live_problem: str
    versions: int
    recent: tuple[VersionRow, ...]
    owner: str = ""
    schedule: str = ""
    metrics: tuple[str, ...] = ()


def undescribed_row(model: FoundModel) -> ModelRow:
    """A model as its definition alone describes it, where the bucket cannot be read."""
    name = ModelName(model.name)
    return ModelRow(
        name=name,
        summary=model.summary,
        problem=model.problem,
        live=None,
        live_problem="",
        versions=0,
        recent=(),
        owner=model.owner,
        schedule=model.schedule,
        metrics=model.metrics,
    )


@dataclass(frozen=True, kw_only=True)
class UnreadableVersion:
    """A version whose release record is damaged or of a newer version of Redraw, and why."""

    version: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class VersionPage:
    """Some of a model's versions, the newest weights first, of `total`."""

    total: int
    rows: tuple[VersionRow, ...]
    unreadable: tuple[UnreadableVersion, ...] = ()


class Browser:
    """Reads a model bucket for pages; threads may share it.

    Args:
        storage: The model bucket.
        clock: Monotonic seconds.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self.storage = storage
        self._lock = threading.Lock()
        self._listings = TTLCache[Any, tuple[StoredObject, ...]](_KEPT_LISTINGS, _LISTING_SECONDS, clock)
        self._rows = LRUCache[Any, VersionRow | UnreadableVersion | None](_KEPT_ROWS)

    def models(self) -> tuple[ModelRow, ...]:
        """Every model that has a definition, by name; first those that have a version.

        Raises:
            StorageError: The bucket is missing, forbidden or does not answer.
        """
        rows = in_parallel(self._model_row, list_models())
        return tuple(sorted(rows, key=lambda row: (not row.versions, row.name)))

    def pointer(self, model: ModelName) -> tuple[LivePointer, str]:
        """The live pointer of a model; its version is None before the first.

        Returns:
            The pointer; and why it cannot be read, if it is damaged or a newer version of Redraw wrote it:
            the pointer that is returned then points nowhere.
        """
        try:
            return read_pointer(self.storage, model), ""
        except InvalidRecord as err:
            return LivePointer(model=model, version=None, previous=None), str(err)

    def versions(self, model: ModelName, offset: int = 0, limit: int | None = None) -> VersionPage:
        """Some of a model's versions, the newest weights first.

        Args:
            model: The definition's name.
            offset: How many to pass over.
            limit: How many at most; all by default.
        """
        listed = self._listed(model)
        wanted = listed[offset:] if limit is None else listed[offset : offset + limit]
        return self._page(model, wanted, len(listed))

    def numbers(self, model: ModelName) -> tuple[int, ...]:
        """Every version of a model by its number, the newest weights first; no record is read."""
        return tuple(_version_of(item) for item in self._listed(model))

    def release(self, model: ModelName, version: int) -> Release:
        """A version's release record.

        Raises:
            VersionNotFound: It was never published, or not to its end.
        """
        release = read_release(self.storage, model, version)
        if release is None:
            raise VersionNotFound(
                f"{self.storage.uri}/{model}/{version}: expected a published version, got none."
                " Correct the address."
            )
        return release

    def claim(self, model: ModelName, version: int) -> Claim:
        """A version's claim, with its manifest; raises as `release`."""
        claim = read_claim(self.storage, model, version)
        if claim is None:
            raise VersionNotFound(
                f"{self.storage.uri}/{model}/{version}: expected a claim, got none. Correct the address."
            )
        return claim

    def attachment(self, release: Release, name: str, most: int = ATTACHMENT_BYTES) -> bytes | None:
        """Something to look at that was published next to a version, checked against its record.

        Args:
            release: The version's record.
            name: One of the record's `attachments`, as `report.html`.
            most: How many bytes it may have.

        Returns:
            Its content; None where the version has none of that name, or was pruned.

        Raises:
            ObjectConflict: It is larger than what can be shown, or not what was published.
        """
        parts = self.attachment_parts(release, name, most)
        return None if parts is None else b"".join(parts)

    def attachment_parts(
        self, release: Release, name: str, most: int = ATTACHMENT_BYTES
    ) -> Iterator[bytes] | None:
        """The same a part at a time: all of it is checked before the first part, and only a part is held."""
        listed = release.attachments.get(name)
        if listed is None:
            return None
        if listed.size > most:
            raise ObjectConflict(
                f"{self.storage.uri}/{listed.name}: expected at most {most} bytes to show,"
                f" got {listed.size}. Copy it from the bucket to look at it."
            )
        stored = self.storage.stat(listed.name)
        if stored is None:
            return None
        # A larger one is not read beyond what the record allows; one of a single part is read once.
        checked, digest = list[bytes](), hashlib.sha256()
        for part in self._parts(stored, listed.size + 1):
            digest.update(part)
            checked = [part]
        if (found := digest.hexdigest()) != listed.sha256:
            raise ObjectConflict(
                f"{self.storage.uri}/{listed.name}: expected {listed.size} bytes with SHA-256"
                f" {listed.sha256}, as published, got {found}. Find out who wrote it; do not trust it."
            )
        return iter(checked) if listed.size < _PART else self._parts(stored, listed.size)

    def _parts(self, stored: StoredObject, size: int) -> Iterator[bytes]:
        """The first bytes of the very object that was described."""
        for offset in range(0, size, _PART):
            wanted = min(_PART, size - offset)
            try:
                part = self.storage.read_range(stored.name, offset, wanted, stored.generation)
            except (Absent, Changed) as err:
                raise StorageUnavailable(
                    f"{self.storage.uri}/{stored.name}: expected it to stay while it was read, got a change."
                    " Find out who writes there, and try again."
                ) from err
            yield part
            if len(part) < wanted:
                return

    def sample(self, model: ModelName, limit: int) -> VersionPage:
        """At most `limit` of a model's versions, evenly spread from the newest weights to the oldest."""
        listed = self._listed(model)
        steps = max(limit - 1, 1)
        places = sorted({round(number * (len(listed) - 1) / steps) for number in range(limit)})
        wanted = listed if len(listed) <= limit else tuple(listed[place] for place in places)
        return self._page(model, wanted, len(listed))

    def _model_row(self, model: FoundModel) -> ModelRow:
        name = ModelName(model.name)
        versions = self.versions(name, limit=_RECENT)
        pointer, problem = self.pointer(name)
        return replace(
            undescribed_row(model),
            live=pointer.version,
            live_problem=problem,
            versions=versions.total,
            recent=versions.rows,
        )

    def _page(self, model: ModelName, wanted: Sequence[StoredObject], total: int) -> VersionPage:
        rows = in_parallel(lambda item: self._row(model, item), wanted)
        return VersionPage(
            total=total,
            rows=tuple(row for row in rows if isinstance(row, VersionRow)),
            unreadable=tuple(row for row in rows if isinstance(row, UnreadableVersion)),
        )

    @cachedmethod(lambda self: self._listings, lock=lambda self: self._lock)
    def _listed(self, model: ModelName) -> tuple[StoredObject, ...]:
        """The release records, the newest weights first, as a listing that is not old shows them."""
        start = f"{model}/releases/"
        records = [
            item
            for item in self.storage.walk(start)
            if is_version(item.name.removeprefix(start).removesuffix(".json"))
        ]
        return tuple(sorted(records, key=_version_of, reverse=True))

    @cachedmethod(
        lambda self: self._rows,
        key=lambda self, model, item: (item.name, item.generation),
        lock=lambda self: self._lock,
    )
    def _row(self, model: ModelName, item: StoredObject) -> VersionRow | UnreadableVersion | None:
        try:
            release = read_release(self.storage, model, _version_of(item))
        except InvalidRecord as err:
            return UnreadableVersion(version=_version_of(item), problem=str(err))
        return None if release is None else row_of(release)


def _version_of(item: StoredObject) -> int:
    return int(item.name.rpartition("/")[2].removesuffix(".json"))
