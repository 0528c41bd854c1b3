"""A stage's standard error, logged line by line in the task's log at its original level."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable

_LINE = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) ([A-Za-z_][\w.]*): (.*)")
_ERROR_STARTS = ("error [", "Traceback (most recent call last):", "Fatal Python error:")
_LONGEST_LINE = 65536
_LINES_KEPT = 30


class StageLog:
    """Takes bytes as they arrive, and logs every complete line.

    Lines of libraries that bypass the logging module have no level: they are logged as INFO, and tracebacks
    as ERROR.

    Args:
        stage: The stage.
        listen: Called with the message of each line that has a level.

    Attributes:
        last_lines: The last lines, for the message of a failure.
    """

    def __init__(self, stage: str, listen: Callable[[str], None] | None = None) -> None:
        self._listen = listen
        self.last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._name = f"redraw.{stage}"
        self._level = logging.INFO
        self._partial = b""

    def feed(self, chunk: bytes) -> None:
        """Take bytes that the stage wrote."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._log(line)
        if len(self._partial) > _LONGEST_LINE:
            self.close()

    def close(self) -> None:
        """Log a last line without a line break."""
        if self._partial:
            self._log(self._partial)
        self._partial = b""

    def _log(self, line: bytes) -> None:
        # A progress bar redraws itself with carriage returns: log only its last state.
        text = line.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2]
        if not text.strip():
            return
        self.last_lines.append(text)
        if match := _LINE.fullmatch(text):
            self._level = logging.INFO
            logging.getLogger(match[2]).log(logging.getLevelNamesMapping()[match[1]], "%s", match[3])
            if self._listen is not None:
                self._listen(match[3])
            return
        if text.startswith(_ERROR_STARTS):
            self._level = logging.ERROR
        logging.getLogger(self._name).log(self._level, "%s", text)
