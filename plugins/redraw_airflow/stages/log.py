"""A stage's standard error, line by line into the task's log, at the level it was written."""

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
    """Takes bytes as they come, and logs every line once it is complete.

    Lines of libraries that write to standard error past the logging module have no level:
    they are logged as INFO, and what belongs to a traceback as ERROR.

    Args:
        stage: The stage.
        listen: Called with each line that has a level, without it.

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
        """Take what the stage wrote."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._log(line)
        if len(self._partial) > _LONGEST_LINE:
            self.close()

    def close(self) -> None:
        """Log a last line that has no end."""
        if self._partial:
            self._log(self._partial)
        self._partial = b""

    def _log(self, line: bytes) -> None:
        # A carriage return is a progress bar redrawing itself: only its last state is worth a line.
        text = line.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2]
        if not text.strip():
            return
        self.last_lines.append(text)
        if found := _LINE.fullmatch(text):
            self._level = logging.INFO
            logging.getLogger(found[2]).log(logging.getLevelNamesMapping()[found[1]], "%s", found[3])
            if self._listen is not None:
                self._listen(found[3])
            return
        if text.startswith(_ERROR_STARTS):
            self._level = logging.ERROR
        logging.getLogger(self._name).log(self._level, "%s", text)
