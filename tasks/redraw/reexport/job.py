"""The work on one checkpoint of a batch, and its row in the report."""

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

# With less room than this, in bytes, no other checkpoint of the batch fits.
_LEAST_ROOM = 1 << 20


@dataclass
class Job:
    """The work on one checkpoint.

    Attributes:
        uri: The requested URI.
        started: When the work started, by the monotonic clock, in seconds.
        folders: The folders of its export and its report.
        record: The checkpoint's record, once it is read.
    """

    uri: str
    started: float
    folders: tuple[Path, ...]
    record: Checkpoint | None = None

    def attempt(self, function: Callable[[], T]) -> T | ReexportedCheckpoint:
        """Call a function; if it fails only for this checkpoint, return a row with the reason.

        Raises:
            StorageUnavailable: The storage does not answer, so the other checkpoints would fail, too.
            DiskFull: No space is left for any checkpoint.
        """
        try:
            return function()
        except RedrawError as err:
            if err.retryable or (isinstance(err, DiskFull) and not self._others_may_fit()):
                raise
            return self._failed(str(err))
        except Exception as err:
            # A definition's own code may raise anything; the traceback helps to fix it.
            logger.exception("%s", self.uri)
            return self._failed(f"{type(err).__name__}: {err}")

    def succeeded(self, release: Release, outcome: Outcome) -> ReexportedCheckpoint:
        """Its row for a published version."""
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
        """Whether there is room again after the files of this checkpoint were removed."""
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
