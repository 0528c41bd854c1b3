"""What is published, read for people who look through it: a page at a time, and each record once.

A release record never changes but to say that its version was pruned or restored, and then its
generation does: a record that was read is kept by name and generation, so that showing a page again
costs a listing. A listing that takes long is read while an older one is shown, unless the live pointer has
changed since then, as it does with whatever people do to a version.
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

# How old, in seconds, a listing may be that is shown while a newer one is read.
_KEPT_SECONDS = 60.0
_KEPT_LISTINGS = 5_000
# So long a list of models shows how many versions there are, unless the live pointer has changed since then.
_COUNTED_SECONDS = 30.0
# How old the facts may be by which all models are sorted; those of the models shown are read again.
_MODELS_KEPT_SECONDS = 600.0
# In seconds: what a list of models waits for more than the newest version of each.
_TREND_SECONDS = 0.3
_STREAMS = 32
# As many models of a long list are read before the next ones are, and so long, in seconds, after a page
# has asked for something: what is read ahead takes the processor from the answer.
_MODELS_AT_ONCE = 16
_REST_SECONDS = 0.4
_KEPT_ROWS = 100_000
# Whole records are larger than their rows: those of a page or two.
_KEPT_RELEASES = 64
# How many versions of each model the list of models knows.
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
            clock, most=_KEPT_LISTINGS, kept=_KEPT_SECONDS, streams=_STREAMS
        )
        self._all = Refreshed[Any](clock, most=2, kept=_MODELS_KEPT_SECONDS, streams=2)
        self._pointers = TTLCache[Any, LivePointer](_KEPT_LISTINGS, _KEPT_SECONDS, clock)
        # What is known of models while all of them are read for the first time.
        self._read: dict[ModelName, ModelRow] = {}
        self._asked_at = -math.inf
        self._later = ThreadPoolExecutor(_STREAMS // 2)
        self._rows = LRUCache[Any, VersionRow | UnreadableVersion | None](_KEPT_ROWS)
        self._releases = LRUCache[Any, Release | None](_KEPT_RELEASES)

    def models(self) -> tuple[ModelRow, ...]:
        """Every model that has a definition, by name; first those that have a version.

        With many models these facts may be some minutes old.

        Raises:
            StorageError: The bucket is missing, forbidden or does not answer.
        """
        return self.known_models(math.inf)[0]

    def known_models(self, patience: float) -> tuple[tuple[ModelRow, ...], int]:
        """The same as far as it is known after so many seconds, and how many models are not read yet."""
        try:
            return self._all.get("models", self._read_models, patience=patience), 0
        except TimeoutError:
            with self._lock:
                read = dict(self._read)
        finally:
            self._asked_at = time.monotonic()
        models = list_models()
        rows = [read.get(ModelName(model.name)) or undescribed_row(model) for model in models]
        return _published_first(rows), sum(model.name not in read for model in models)

    def published(self) -> frozenset[str]:
        """The models of which something is in the bucket; raises as `models`."""
        found: frozenset[str] = self._all.get(
            "folders", lambda: frozenset(self.storage.folders()), _COUNTED_SECONDS
        )
        return found

    def rows(self, models: Sequence[ModelRow], patience: float | None = _TREND_SECONDS) -> list[ModelRow]:
        """What is published of some models, as it is now; raises as `models`.

        Args:
            models: What is known of them already, if only from their definitions.
            patience: How long to wait for what is known of more than the newest version of each, in
                seconds; None for as long as it takes. What is left out is there the next time.
        """
        names = [model.name for model in models]
        pointers = in_parallel(self.pointer, names, _STREAMS)
        listings = in_parallel(lambda name: self._listed(name, _COUNTED_SECONDS), names, _STREAMS)
        listed = [
            (name, item) for name, items in zip(names, listings, strict=True) for item in items[:_RECENT]
        ]
        newest = [(name, items[0]) for name, items in zip(names, listings, strict=True) if items]
        in_parallel(lambda pair: self._row(*pair), newest, _STREAMS)
        reading = {pair: self._later.submit(self._row, *pair) for pair in listed}
        wait(reading.values(), timeout=patience)
        read = {pair[1].name: future.result() for pair, future in reading.items() if future.done()}
        return [
            replace(
                model,
                live=pointer.version,
                live_problem=problem,
                versions=len(items),
                recent=tuple(
                    row for item in items[:_RECENT] if isinstance(row := read.get(item.name), VersionRow)
                ),
            )
            for model, (pointer, problem), items in zip(models, pointers, listings, strict=True)
        ]

    def pointer(self, model: ModelName) -> tuple[LivePointer, str]:
        """The live pointer of a model; its version is None before the first.

        Returns:
            The pointer; and why it cannot be read, if it is damaged or a newer version of Redraw wrote it:
            the pointer that is returned then points nowhere.
        """
        asked_at = self._clock()
        with self._lock:
            known = self._pointers.get(model)
        try:
            pointer = read_pointer(self.storage, model, known)
        except InvalidRecord as err:
            return LivePointer(model=model, version=None, previous=None), str(err)
        if known is None or known.number != pointer.number:
            # What another thread lists for the same page is as new as this.
            self._listings.forget(model, before=asked_at)
            with self._lock:
                self._pointers[model] = pointer
        return pointer, ""

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

    def listed_release(self, model: ModelName, version: int) -> Release:
        """The same as a listing of the last minute shows it: a page reads none again that it lists."""
        item = next((item for item in self._listed(model) if _version_of(item) == version), None)
        release = None if item is None else self._release(model, item)
        return self.release(model, version) if release is None else release

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
        return read_parts(self.storage, release, name, most)

    def sample(self, model: ModelName, limit: int) -> VersionPage:
        """At most `limit` of a model's versions, evenly spread from the newest weights to the oldest."""
        listed = self._listed(model)
        steps = max(limit - 1, 1)
        places = sorted({round(number * (len(listed) - 1) / steps) for number in range(limit)})
        wanted = listed if len(listed) <= limit else tuple(listed[place] for place in places)
        return self._page(model, wanted, len(listed))

    def _read_models(self) -> tuple[ModelRow, ...]:
        models, found = [*map(undescribed_row, list_models())], list[ModelRow]()
        for start in range(0, len(models), _MODELS_AT_ONCE):
            time.sleep(max(0.0, self._asked_at + _REST_SECONDS - time.monotonic()))
            part = self.rows(models[start : start + _MODELS_AT_ONCE], None)
            with self._lock:
                self._read.update({row.name: row for row in part})
            found += part
        return _published_first(found)

    def _page(self, model: ModelName, wanted: Sequence[StoredObject], total: int) -> VersionPage:
        rows = in_parallel(lambda item: self._row(model, item), wanted)
        return VersionPage(total=total, listed=tuple(row for row in rows if row is not None))

    def _listed(self, model: ModelName, fresh: float = FRESH) -> tuple[StoredObject, ...]:
        """The release records, the newest weights first, as a listing that is not old shows them."""
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
