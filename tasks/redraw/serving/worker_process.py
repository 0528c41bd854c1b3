"""Start the worker, talk to it with a bound, and tell how it died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import redraw
from redraw.serving.errors import RequestRefused, ServingCrashed
from redraw.serving.wire import receive, send

_START_SECONDS = 120.0
_END_SECONDS = 5.0
_LOG_BYTES = 600
_PIPE_BYTES = 1 << 16
# The same for every model and machine: only errors, no GPU, and no notice of either. NumPy starts no
# threads: the sandbox is for all threads only while there is one.
_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
    "OPENBLAS_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
}
# All that the worker gets of this process's environment: how to find its libraries, and how to compute.
_PASSED_ON = (
    "LD_LIBRARY_PATH",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_XLA_FLAGS",
    "OMP_NUM_THREADS",
)


class WorkerProcess:
    """The worker, started now; it holds one model, and does not come back once it died."""

    def __init__(self) -> None:
        root = Path(redraw.__file__).resolve().parents[1]
        ours, theirs = socket.socketpair()
        self._log, log = os.pipe()
        # What nobody reads of a full log is lost; it never holds the worker up.
        for end in (self._log, log):
            os.set_blocking(end, False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, and this interpreter
                [sys.executable, "-m", "redraw.serving.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=root,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _SETTINGS,
                pass_fds=(theirs.fileno(),),
            )
        os.close(log)
        self._connection = Connection(ours.detach())
        self._greeted = False

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was ended, or its death was reported."""
        return self._connection.closed

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
        self._wake()
        self._read_log()  # what was written before is of another request
        try:
            send(self._connection, header, arrays)
            answer, values = self._receive(seconds)
        except (EOFError, OSError) as err:
            raise self._crashed() from err
        if "error" in answer:
            raise RequestRefused(answer["error"]["code"], answer["error"]["message"])
        return answer, values

    def end(self) -> None:
        """End the worker, at once if it does not end by itself."""
        if self.ended:
            return
        self._connection.close()  # which it sees even while it is in the middle of an answer
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._log)

    def _wake(self) -> None:
        """See that the worker lives and has its library; the time of starting is no request's."""
        if self._process.poll() is not None:
            raise self._crashed()
        if not self._greeted:
            try:
                self._receive(_START_SECONDS)
            except (EOFError, OSError) as err:
                raise self._crashed() from err
            self._greeted = True

    def _receive(self, seconds: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if not self._connection.poll(seconds):
            self.end()
            raise ServingCrashed(f"no answer within {seconds:g} s; the serving process was ended")
        return receive(self._connection)

    def _read_log(self) -> bytes:
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self._log, _PIPE_BYTES):
                parts.append(part)
        return b"".join(parts)

    def _crashed(self) -> ServingCrashed:
        """How the worker died, in its own words."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.kill()
        how = _how(self._process.wait())
        # What it wrote since it was asked, from the start: what went wrong, then the trace.
        words = self._read_log()[:_LOG_BYTES].decode(errors="replace").split()
        os.close(self._log)
        return ServingCrashed(f"the serving process {how}" + (f": {' '.join(words)}" if words else ""))


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed by {signal.Signals(-code).name}"
