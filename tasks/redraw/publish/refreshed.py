"""Values that are read again as they grow old, while those who look wait no longer than they have to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

T = TypeVar("T")

# So many seconds a value is shown without reading it again: long enough for the requests of one page.
FRESH = 2.0
# So long, in seconds, anyone waits for a newer value than one that may still be shown; not at all for one
# that took so much longer the last time.
_PATIENCE, _HOPELESS = 0.1, 1.0


@dataclass(frozen=True)
class _Kept(Generic[T]):
    value: T
    read_at: float
    seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pending(Generic[T]):
    """A value that is being read: asked for by the caller's clock, and since then by the real one."""

    asked_at: float
    since: float
    value: Future[T] = field(default_factory=Future)


class Refreshed(Generic[T]):
    """What was read, by key; threads may share it.

    Args:
        clock: Monotonic seconds.
        most: How many values are kept.
        kept: So many seconds a value is shown if it takes long to read it again; the reading goes on, for
            the next one who asks.
        streams: How many are read at once.
    """

    def __init__(self, clock: Callable[[], float], *, most: int, kept: float, streams: int) -> None:
        self._clock, self._longest = clock, kept
        self._values = LRUCache[Any, _Kept[T]](most)
        self._pending: dict[Any, _Pending[T]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(streams)

    def get(self, key: Any, read: Callable[[], T], fresh: float = FRESH, patience: float = math.inf) -> T:
        """The value of a key; raises what `read` raises.

        Args:
            key: Which.
            read: Reads it.
            fresh: If the value is older, in seconds, it is read again.
            patience: How long to wait, in seconds, if there is no value that may be shown.

        Raises:
            TimeoutError: It takes longer; the reading goes on, for the next one who asks.
        """
        with self._lock:
            now, known = self._clock(), self._values.get(key)
            if known is not None and now - known.read_at < fresh:
                return known.value
            if key not in self._pending:
                self._pending[key] = _Pending(asked_at=now, since=time.monotonic())
                self._pool.submit(self._read, key, read, self._pending[key])
            pending = self._pending[key]
        usable = known is not None and now - known.read_at < self._longest
        # However often a page asks, it waits once.
        if usable and known is not None:
            patience = _PATIENCE if known.seconds < _HOPELESS else 0.0
        left = max(0.0, pending.since + patience - time.monotonic())
        wait([pending.value], timeout=None if left == math.inf else left)
        if usable and known is not None and not pending.value.done():
            return known.value
        return pending.value.result(timeout=0)

    def forget(self, key: Any, before: float = math.inf) -> None:
        """What was asked of a key before that time, by the clock, is no longer so."""
        with self._lock:
            if key in self._values and self._values[key].read_at < before:
                del self._values[key]
            if key in self._pending and self._pending[key].asked_at < before:
                del self._pending[key]

    def _read(self, key: Any, read: Callable[[], T], pending: _Pending[T]) -> None:
        try:
            value = read()
        except BaseException as err:
            self._end(key, pending, None)
            pending.value.set_exception(err)
        else:
            self._end(key, pending, _Kept(value, pending.asked_at, time.monotonic() - pending.since))
            pending.value.set_result(value)

    def _end(self, key: Any, pending: _Pending[T], kept: _Kept[T] | None) -> None:
        """Keep what was read, unless it was forgotten meanwhile."""
        with self._lock:
            if self._pending.get(key) is pending:
                del self._pending[key]
                if kept is not None:
                    self._values[key] = kept
