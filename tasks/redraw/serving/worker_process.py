"""Start the worker, send it requests with a timeout, and report how it ended."""

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
# The same for every model and machine: log only errors, and use no GPU. NumPy starts no threads, because a
# process can enter the sandbox only while it has a single thread.
_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
    "OPENBLAS_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
}
# The only environment variables that the worker inherits: how to find libraries, and how to compute.
_PASSED_ON = (
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_XLA_FLAGS",
)


class WorkerProcess:
    """A worker, started immediately, for one model; it is not restarted."""

    def __init__(self) -> None:
        root = Path(redraw.__file__).resolve().parents[1]
        client, worker = socket.socketpair()
        self._log, log = os.pipe()
        # If the log is full, more output is lost; it never blocks the worker.
        for end in (self._log, log):
            os.set_blocking(end, False)
        with worker:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, and this interpreter
                [sys.executable, "-m", "redraw.serving.worker", str(worker.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=root,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | _SETTINGS,
                pass_fds=(worker.fileno(),),
            )
        os.close(log)
        self._connection = Connection(client.detach())
        self._greeted = False

    @property
    def pid(self) -> int:
        """The id of the worker's process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was ended, or a crash was reported."""
        return self._connection.closed

    def ask(
        self, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], seconds: float
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Send one request and wait for its answer.

        Args:
            header: The command and its parameters.
            arrays: Name to array.
            seconds: The timeout; then the worker is ended.

        Returns:
            The answer's header and values.

        Raises:
            RequestRefused: TensorFlow answers with an error.
            ServingCrashed: The worker crashed, or did not answer in time.
        """
        self._wake()
        self._read_log()  # discard the output of earlier requests
        try:
            send(self._connection, header, arrays)
            answer, values = self._receive(seconds)
        except (EOFError, OSError) as err:
            raise self._crashed() from err
        if "error" in answer:
            raise RequestRefused(answer["error"]["code"], answer["error"]["message"])
        return answer, values

    def end(self) -> None:
        """End the worker; kill it if it does not end by itself."""
        if self.ended:
            return
        self._connection.close()  # which ends it even while it computes an answer
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._log)

    def _wake(self) -> None:
        """Wait until the worker has its library, so that starting counts for no request's timeout."""
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
        """The error of a worker that ended, with its last output."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.kill()
        how = _how(self._process.wait())
        # Its output since the request, from the start: the error comes before the trace.
        words = self._read_log()[:_LOG_BYTES].decode(errors="replace").split()
        os.close(self._log)
        return ServingCrashed(f"the serving process {how}" + (f": {' '.join(words)}" if words else ""))


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed by {signal.Signals(-code).name}"
