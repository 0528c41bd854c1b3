"""A cache that reads old values again in the background, so that callers hardly wait."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import LRUCache

T = TypeVar("T")

# For so many seconds a value is not read again: long enough for the requests of one page.
FRESH = 2.0
# How long, in seconds, a caller waits for a newer value if it has a usable one; it does not wait if the last
# reading took longer than the second number.
_PATIENCE, _HOPELESS = 0.1, 1.0


@dataclass(frozen=True)
class _Cached(Generic[T]):
    value: T
    read_at: float
    seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pending(Generic[T]):
    """A value that is being read, with the start by the caller's clock and by the real one."""

    asked_at: float
    since: float
    value: Future[T] = field(default_factory=Future)


class Refreshed(Generic[T]):
    """Values by key; threads may share it.

    Args:
        clock: Monotonic seconds.
        most: How many values are cached.
        longest: For how many seconds a value may be shown while it is being read again.
        streams: How many are read at once.
    """

    def __init__(self, clock: Callable[[], float], *, most: int, longest: float, streams: int) -> None:
        self._clock, self._longest = clock, longest
        self._values = LRUCache[Hashable, _Cached[T]](most)
        self._pending: dict[Hashable, _Pending[T]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(streams)

    def get(
        self, key: Hashable, read: Callable[[], T], fresh: float = FRESH, patience: float = math.inf
    ) -> T:
        """The value of a key; raises what `read` raises.

        Args:
            key: The value's key.
            read: Reads the value.
            fresh: Age in seconds from which the value is read again.
            patience: How long to wait, in seconds, if there is no value that may be shown.

        Raises:
            TimeoutError: It takes longer; the reading continues, for the next call.
        """
        with self._lock:
            now, cached = self._clock(), self._values.get(key)
            if cached is not None and now - cached.read_at < fresh:
                return cached.value
            if key not in self._pending:
                self._pending[key] = _Pending(asked_at=now, since=time.monotonic())
                self._pool.submit(self._read, key, read, self._pending[key])
            pending = self._pending[key]
        usable = cached is not None and now - cached.read_at < self._longest
        # A page may call this often, but waits only once.
        if usable and cached is not None:
            patience = _PATIENCE if cached.seconds < _HOPELESS else 0.0
        remaining = max(0.0, pending.since + patience - time.monotonic())
        wait([pending.value], timeout=None if remaining == math.inf else remaining)
        if usable and cached is not None and not pending.value.done():
            return cached.value
        return pending.value.result(timeout=0)

    def forget(self, key: Hashable, before: float = math.inf) -> None:
        """Forget the value of a key if its reading started before a time, by the caller's clock."""
        with self._lock:
            if key in self._values and self._values[key].read_at < before:
                del self._values[key]
            if key in self._pending and self._pending[key].asked_at < before:
                del self._pending[key]

    def _read(self, key: Hashable, read: Callable[[], T], pending: _Pending[T]) -> None:
        try:
            value = read()
        except BaseException as err:
            self._end(key, pending, None)
            pending.value.set_exception(err)
        else:
            self._end(key, pending, _Cached(value, pending.asked_at, time.monotonic() - pending.since))
            pending.value.set_result(value)

    def _end(self, key: Hashable, pending: _Pending[T], cached: _Cached[T] | None) -> None:
        """Cache what was read, unless it was forgotten meanwhile."""
        with self._lock:
            if self._pending.get(key) is pending:
                del self._pending[key]
                if cached is not None:
                    self._values[key] = cached
