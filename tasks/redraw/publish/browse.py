"""Read what is published for web pages: a page at a time, and each record once.

A release record changes only if its version is pruned or restored, and then its generation changes too. So
records are cached by name and generation, and showing a page again costs one listing. If a listing takes
long, an older one is shown meanwhile, unless the live pointer has changed since it was read.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from cachetools import LRUCache, TTLCache, cachedmethod

from redraw.definition.registry import list_models
from redraw.errors import InvalidRecord, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.attachments import read_parts
from redraw.publish.bucket.layout import ATTACHMENT_BYTES, Claim, is_version, read_claim, read_release
from redraw.publish.live.pointer import read_pointer
from redraw.publish.refreshed import FRESH, Refreshed
from redraw.publish.version_rows import (
    ModelRow,
    UnreadableVersion,
    VersionPage,
    VersionRow,
    row_of,
    undescribed_row,
)
from redraw.records import LivePointer, Release
from redraw.storage.opening import Storage, StoredObject, in_parallel

# Largest age, in seconds, of a listing that is shown while a newer one is read.
_KEPT_SECONDS = 60.0
_KEPT_LISTINGS = 5_000
# How long, in seconds, a list of models shows a count of versions, unless the live pointer changes.
_COUNTED_SECONDS = 30.0
# Largest age of the facts that sort all models; the facts of the models on a page are read again.
_MODELS_KEPT_SECONDS = 600.0
# How long, in seconds, a list of models waits for more than the newest version of each.
_TREND_SECONDS = 0.3
_STREAMS = 32
# Reading ahead takes processor time from pages: it reads this many models at once, and pauses this long, in
# seconds, after the last request of a page.
_MODELS_AT_ONCE = 16
_REST_SECONDS = 0.4
_KEPT_ROWS = 100_000
# Whole records are larger than rows: the cache holds those of a page or two.
_KEPT_RELEASES = 64
# How many versions of each model the list of models reads.
_RECENT = 20


def _key_of(_browser: Browser, _model: ModelName, item: StoredObject) -> tuple[str, int]:
    return item.name, item.generation


class Browser:
    """Reads a model bucket for pages; threads may share it.

    Args:
        storage: The model bucket.
        clock: Monotonic seconds.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self.storage, self._clock = storage, clock
        self._lock = threading.Lock()
        self._listings = Refreshed[tuple[StoredObject, ...]](
            clock, most=_KEPT_LISTINGS, longest=_KEPT_SECONDS, streams=_STREAMS
        )
        self._all = Refreshed[Any](clock, most=2, longest=_MODELS_KEPT_SECONDS, streams=2)
        self._pointers = TTLCache[Any, LivePointer](_KEPT_LISTINGS, _KEPT_SECONDS, clock)
        # The models read so far, while all of them are read for the first time.
        self._read: dict[ModelName, ModelRow] = {}
        self._requested_at = -math.inf
        self._later = ThreadPoolExecutor(_STREAMS // 2)
        self._rows = LRUCache[Any, VersionRow | UnreadableVersion | None](_KEPT_ROWS)
        self._releases = LRUCache[Any, Release | None](_KEPT_RELEASES)

    def known_models(self, patience: float) -> tuple[tuple[ModelRow, ...], int]:
        """The models read within `patience` seconds, first those with a version, and how many are missing.

        With many models these facts may be some minutes old.

        Raises:
            StorageError: The bucket is missing, forbidden or does not answer.
        """
        try:
            return self._all.get("models", self._read_models, patience=patience), 0
        except TimeoutError:
            with self._lock:
                read = dict(self._read)
        finally:
            self._requested_at = time.monotonic()
        models = list_models()
        rows = [read.get(ModelName(model.name)) or undescribed_row(model) for model in models]
        return _published_first(rows), sum(model.name not in read for model in models)

    def published(self) -> frozenset[str]:
        """The models that have anything in the bucket.

        Raises:
            StorageError: The bucket is missing, forbidden or does not answer.
        """
        names: frozenset[str] = self._all.get(
            "folders", lambda: frozenset(self.storage.folders()), _COUNTED_SECONDS
        )
        return names

    def rows(self, models: Sequence[ModelRow], patience: float | None = _TREND_SECONDS) -> list[ModelRow]:
        """Read the current live version and recent versions of some models.

        Args:
            models: Their rows so far, perhaps only from their definitions.
            patience: How long to wait, in seconds, for more than the newest version of each; None for as
                long as it takes. A later call has the versions that this one leaves out.

        Raises:
            StorageError: The bucket is missing, forbidden or does not answer.
        """
        names = [model.name for model in models]
        pointers = in_parallel(self.pointer, names, _STREAMS)
        listings = in_parallel(lambda name: self._listing(name, _COUNTED_SECONDS), names, _STREAMS)
        recent = [
            (name, item) for name, items in zip(names, listings, strict=True) for item in items[:_RECENT]
        ]
        newest = [(name, items[0]) for name, items in zip(names, listings, strict=True) if items]
        in_parallel(lambda pair: self._row(*pair), newest, _STREAMS)
        futures = {pair: self._later.submit(self._row, *pair) for pair in recent}
        wait(futures.values(), timeout=patience)
        rows = {pair[1].name: future.result() for pair, future in futures.items() if future.done()}
        return [
            replace(
                model,
                live=pointer.version,
                live_problem=problem,
                versions=len(items),
                recent=tuple(
                    row for item in items[:_RECENT] if isinstance(row := rows.get(item.name), VersionRow)
                ),
            )
            for model, (pointer, problem), items in zip(models, pointers, listings, strict=True)
        ]

    def pointer(self, model: ModelName) -> tuple[LivePointer, str]:
        """The live pointer of a model; its version is None before the first.

        Returns:
            The pointer, and why it cannot be read if it is damaged or a newer version of Redraw wrote it.
            The returned pointer then has no version.
        """
        asked_at = self._clock()
        with self._lock:
            cached = self._pointers.get(model)
        try:
            pointer = read_pointer(self.storage, model, cached)
        except InvalidRecord as err:
            return LivePointer(model=model, version=None, previous=None), str(err)
        if cached is None or cached.number != pointer.number:
            # A listing that another thread started since then is as new as this pointer.
            self._listings.forget(model, before=asked_at)
            with self._lock:
                self._pointers[model] = pointer
        return pointer, ""

    def versions(self, model: ModelName, offset: int = 0, limit: int | None = None) -> VersionPage:
        """Some of a model's versions, the newest weights first.

        Args:
            model: The definition's name.
            offset: How many to skip.
            limit: How many at most; all by default.
        """
        listing = self._listing(model)
        selected = listing[offset:] if limit is None else listing[offset : offset + limit]
        return self._page(model, selected, len(listing))

    def numbers(self, model: ModelName) -> tuple[int, ...]:
        """The numbers of all versions of a model, the newest weights first; reads no record."""
        return tuple(_version_of(item) for item in self._listing(model))

    def release(self, model: ModelName, version: int) -> Release:
        """A version's release record.

        Raises:
            VersionNotFound: It was never published, or its push did not finish.
        """
        release = read_release(self.storage, model, version)
        if release is None:
            raise VersionNotFound(
                f"{self.storage.uri}/{model}/{version}: expected a published version, got none. Correct the"
                " model or the version in the address."
            )
        return release

    def listed_release(self, model: ModelName, version: int) -> Release:
        """A version's release record from the cached listing, if it is there; otherwise read again."""
        item = next((item for item in self._listing(model) if _version_of(item) == version), None)
        release = None if item is None else self._release(model, item)
        return self.release(model, version) if release is None else release

    def claim(self, model: ModelName, version: int) -> Claim:
        """A version's claim, with its manifest.

        Raises:
            VersionNotFound: Nobody claimed the version.
        """
        claim = read_claim(self.storage, model, version)
        if claim is None:
            raise VersionNotFound(
                f"{self.storage.uri}/{model}/{version}: expected a claim, got none. Correct the model or"
                " the version in the address."
            )
        return claim

    def attachment(self, release: Release, name: str, most: int = ATTACHMENT_BYTES) -> bytes | None:
        """An attachment of a version, checked against the version's record.

        Args:
            release: The version's record.
            name: One of the record's `attachments`, such as `report.html`.
            most: How many bytes it may have.

        Returns:
            Its content; None if the version has none of that name, or was pruned.

        Raises:
            ObjectConflict: It is larger than `most`, or not what was published.
        """
        parts = self.attachment_parts(release, name, most)
        return None if parts is None else b"".join(parts)

    def attachment_parts(
        self, release: Release, name: str, most: int = ATTACHMENT_BYTES
    ) -> Iterator[bytes] | None:
        """An attachment in parts: all of it is checked before the first part, with one part in memory."""
        return read_parts(self.storage, release, name, most)

    def sample(self, model: ModelName, limit: int) -> VersionPage:
        """At most `limit` of a model's versions, evenly spread from the newest weights to the oldest."""
        listing = self._listing(model)
        steps = max(limit - 1, 1)
        places = sorted({round(number * (len(listing) - 1) / steps) for number in range(limit)})
        selected = listing if len(listing) <= limit else tuple(listing[place] for place in places)
        return self._page(model, selected, len(listing))

    def _read_models(self) -> tuple[ModelRow, ...]:
        models, rows = [*map(undescribed_row, list_models())], list[ModelRow]()
        for start in range(0, len(models), _MODELS_AT_ONCE):
            time.sleep(max(0.0, self._requested_at + _REST_SECONDS - time.monotonic()))
            batch = self.rows(models[start : start + _MODELS_AT_ONCE], None)
            with self._lock:
                self._read.update({row.name: row for row in batch})
            rows += batch
        return _published_first(rows)

    def _page(self, model: ModelName, items: Sequence[StoredObject], total: int) -> VersionPage:
        rows = in_parallel(lambda item: self._row(model, item), items)
        return VersionPage(total=total, listed=tuple(row for row in rows if row is not None))

    def _listing(self, model: ModelName, fresh: float = FRESH) -> tuple[StoredObject, ...]:
        """The objects of the release records, the newest weights first; a listing is reused while fresh."""
        return self._listings.get(model, lambda: self._list(model), fresh)

    def _list(self, model: ModelName) -> tuple[StoredObject, ...]:
        start = f"{model}/releases/"
        records = [
            item
            for item in self.storage.walk(start)
            if is_version(item.name.removeprefix(start).removesuffix(".json"))
        ]
        return tuple(sorted(records, key=_version_of, reverse=True))

    @cachedmethod(lambda self: self._rows, key=_key_of, lock=lambda self: self._lock)
    def _row(self, model: ModelName, item: StoredObject) -> VersionRow | UnreadableVersion | None:
        try:
            release = self._release(model, item)
        except InvalidRecord as err:
            return UnreadableVersion(version=_version_of(item), problem=str(err))
        return None if release is None else row_of(release)

    @cachedmethod(lambda self: self._releases, key=_key_of, lock=lambda self: self._lock)
    def _release(self, model: ModelName, item: StoredObject) -> Release | None:
        return read_release(self.storage, model, _version_of(item))


def _published_first(rows: Sequence[ModelRow]) -> tuple[ModelRow, ...]:
    return tuple(sorted(rows, key=lambda row: (not row.versions, row.name)))


def _version_of(item: StoredObject) -> int:
    return int(item.name.rpartition("/")[2].removesuffix(".json"))
