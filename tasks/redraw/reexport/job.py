"""One checkpoint of a batch on its way, and the row that tells what became of it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from redraw.errors import DiskFull, RedrawError
from redraw.records import Checkpoint, Release
from redraw.records.reexport import Outcome, ReexportedCheckpoint

logger = logging.getLogger(__name__)

T = TypeVar("T")

# With less than this no other checkpoint of the batch fits either.
_LEAST_ROOM = 1 << 20


@dataclass
class Job:
    """A checkpoint, from its turn to its row.

    Attributes:
        uri: As it was asked for.
        started: When its turn came, by the monotonic clock, in seconds.
        folders: Where its export and its report go.
        record: The checkpoint's, once it is known.
    """

    uri: str
    started: float
    folders: tuple[Path, ...]
    record: Checkpoint | None = None

    def attempt(self, function: Callable[[], T]) -> T | ReexportedCheckpoint:
        """Call a function; an error only of this checkpoint becomes its row.

        Raises:
            StorageUnavailable: The storage does not answer: the rest would fare no better.
            DiskFull: No space is left, for any other either.
        """
        try:
            return function()
        except RedrawError as err:
            if err.retryable or (isinstance(err, DiskFull) and not self._others_may_fit()):
                raise
            return self._failed(str(err))
        except Exception as err:
            # A definition's own code may raise anything; the traceback is for the one who fixes it.
            logger.exception("%s", self.uri)
            return self._failed(f"{type(err).__name__}: {err}")

    def succeeded(self, release: Release, outcome: Outcome) -> ReexportedCheckpoint:
        """Its row, of a version that is there."""
        row = ReexportedCheckpoint(
            uri=self.uri,
            outcome=outcome,
            seconds=self._seconds(),
            step=release.checkpoint.step,
            trained_at=release.checkpoint.trained_at,
            version=release.version,
            digest=release.digest,
        )
        logger.info("%s: %s in %.2f s %d", self.uri, outcome, row.seconds, release.version)
        return row

    def _others_may_fit(self) -> bool:
        """Whether there is room again, now that what this one had written is removed."""
        existing = (
            next(path for path in (folder, *folder.parents) if path.exists()) for folder in self.folders
        )
        return all(shutil.disk_usage(path).free >= _LEAST_ROOM for path in existing)

    def _failed(self, reason: str) -> ReexportedCheckpoint:
        row = ReexportedCheckpoint(
            uri=self.uri,
            outcome="failed",
            seconds=self._seconds(),
            step=self.record.step if self.record else None,
            trained_at=self.record.trained_at if self.record else None,
            reason=" ".join(reason.split()),
        )
        logger.error("%s: failed in %.2f s %s", self.uri, row.seconds, row.reason)
        return row

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)
