"""Retry calls to Cloud Storage, with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.api_core import exceptions as api
from google.api_core.retry import exponential_sleep_generator
from google.cloud.storage.exceptions import DataCorruption  # noqa: TID253 - only gs:// URIs load this module
from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: TID253

from redraw.compat.storage import would_retry
from redraw.settings import STORAGE_TIMEOUT

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class Progress:
    """When a transfer's last byte moved, by the monotonic clock."""

    def __init__(self) -> None:
        self.moved_at = 0.0

    def move(self) -> None:
        """Record that bytes have moved."""
        self.moved_at = time.monotonic()


@dataclass(frozen=True)
class Patience:
    """How long calls are retried.

    Attributes:
        seconds: After so much time in failures and pauses no retry starts. The time in which a transfer's
            bytes moved does not count, so that a long transfer is retried as well.
    """

    seconds: float

    @classmethod
    def read(cls) -> Patience:
        """Read `REDRAW_STORAGE_TIMEOUT`.

        Raises:
            InvalidSetting: The variable is no positive number.
        """
        return cls(STORAGE_TIMEOUT.read())

    @property
    def silence(self) -> tuple[float, float]:
        """How long an attempt may take to connect, and to be silent: half of `seconds`, at most 20 s."""
        silence = min(20.0, self.seconds / 2)
        return min(5.0, silence), silence

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for a call of the client, with this patience."""
        return {"retry": DEFAULT_RETRY.with_timeout(self.seconds), "timeout": self.silence}

    def keep_trying(self, call: Callable[[], T], progress: Progress | None = None) -> T:
        """Call until it succeeds, or fails with an error that is not retried.

        The client's own retries do not cover error responses with a truncated body, nor altered bytes.

        Args:
            call: Called in this thread; its error decides whether it is called again.
            progress: The progress of its transfer, if any.

        Raises:
            google.api_core.exceptions.RetryError: The time is used up; the cause is the last failure.
        """
        progress, spent = progress or Progress(), 0.0
        for pause in exponential_sleep_generator(_FIRST_PAUSE, _LONGEST_PAUSE):
            started = time.monotonic()
            try:
                return call()
            except Exception as err:
                if not (isinstance(err, DataCorruption) or would_retry(err)):
                    raise
                spent += time.monotonic() - max(started, progress.moved_at) + pause
                if spent > self.seconds:
                    raise api.RetryError(f"no success within {self.seconds:g} s", err) from err
            time.sleep(pause)
        raise AssertionError("the pauses have no end")
