"""Start the worker, talk to it with a bound, and tell how it died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import numpy as np

import redraw
from redraw.serving.errors import RequestRefused, ServingCrashed
from redraw.serving.wire import receive, send

__all__ = ["WorkerProcess"]

_START_SECONDS = 120.0
_END_SECONDS = 5.0
_LOG_BYTES = 600
# The same for every model and machine: errors alone, no GPU, and no notice of either.
_SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


class WorkerProcess:
    """The worker, started now, and again when it is asked after it died.

    Attributes:
        generation: How often it was started; the models of another generation are gone.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._greeted = False
        self._asked_at = 0
        self._start()

    @property
    def pid(self) -> int:
        """The worker that runs now."""
        return self._process.pid

    def ask(
        self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], seconds: float
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Send one request and wait for its answer.

        Args:
            header: What is asked.
            arrays: The values that go with it.
            seconds: After so long the worker is ended.

        Returns:
            The answer's header and values.

        Raises:
            RequestRefused: TensorFlow answers with an error.
            ServingCrashed: The worker died of it, or did not answer in time.
        """
        self.wake()
        self._asked_at = os.fstat(self._log.fileno()).st_size
        try:
            send(self._connection, header, arrays)
            answer, values = self._receive(seconds)
        except (EOFError, OSError) as err:
            raise self._crashed() from err
        if "error" in answer:
            raise RequestRefused(answer["error"]["code"], answer["error"]["message"])
        return answer, values

    def wake(self) -> None:
        """See that there is a worker that has its library; the time of starting is no request's.

        Raises:
            ServingCrashed: It died since it was last asked. The next call starts another.
        """
        if self._connection.closed:
            self._start()
        elif self._process.poll() is not None:
            raise self._crashed()
        if not self._greeted:
            try:
                send(self._connection, {"command": "version"}, {})
                self._receive(_START_SECONDS)
            except (EOFError, OSError) as err:
                raise self._crashed() from err
            self._greeted = True

    def end(self) -> None:
        """End the worker, at once if it does not end by itself."""
        self._connection.close()  # which it sees even while it is in the middle of an answer
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _start(self) -> None:
        root = Path(redraw.__file__).resolve().parents[1]
        ours, theirs = socket.socketpair()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the worker
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, and this interpreter
                [sys.executable, "-m", "redraw.serving.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                cwd=root,
                env=os.environ | _SETTINGS,
                pass_fds=(theirs.fileno(),),
            )
        self._connection = Connection(ours.detach())
        self._greeted, self._asked_at = False, 0
        self.generation += 1

    def _receive(self, seconds: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if not self._connection.poll(seconds):
            self.end()
            raise ServingCrashed(f"no answer within {seconds:g} s; the serving process was ended")
        return receive(self._connection)

    def _crashed(self) -> ServingCrashed:
        """How the worker died, in its own words."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.kill()
        how = _how(self._process.wait())
        # What it wrote since it was asked, from the start: what went wrong, then the trace.
        words = os.pread(self._log.fileno(), _LOG_BYTES, self._asked_at).decode(errors="replace").split()
        self._log.close()
        return ServingCrashed(f"the serving process {how}" + (f": {' '.join(words)}" if words else ""))


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed by {signal.Signals(-code).name}"
