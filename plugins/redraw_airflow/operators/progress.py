"""What a training's task pushes while it runs: the XCom `progress`, and the link to TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from airflow.sdk.types import RuntimeTaskInstanceProtocol

from redraw.records.progress import TrainingProgress, follow_line
from redraw_airflow.operators.links import TensorBoardLink

PROGRESS_KEY = "progress"

_logger = logging.getLogger(__name__)
_PAUSE_SECONDS = 3.0


class TrainingWatch:
    """Follows the log of a training, and pushes its progress every few seconds at most.

    Args:
        ti: The task instance.
        progress: The progress before the first line.
        tensorboard: The URL of the curves, for the task's link.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ti: RuntimeTaskInstanceProtocol,
        progress: TrainingProgress,
        tensorboard: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ti, self._clock = ti, clock
        self.progress = progress
        self._push(TensorBoardLink().xcom_key, tensorboard)
        self._write()

    def hear(self, line: str) -> None:
        """Read a line of the stage's log."""
        after = follow_line(self.progress, line)
        if after is self.progress:
            return
        # An evaluation is pushed at once: the next one may be an hour away.
        urgent = after.measured is not self.progress.measured
        self.progress = after
        if urgent or self._clock() - self._written >= _PAUSE_SECONDS:
            self._write()

    def _write(self) -> None:
        self._written = self._clock()
        self._push(PROGRESS_KEY, self.progress.to_json())

    def _push(self, key: str, value: Any) -> None:
        try:
            self._ti.xcom_push(key=key, value=value)
        except Exception as err:  # a training does not need its progress to be shown
            _logger.warning("The XCom %s could not be written: %s", key, err)
