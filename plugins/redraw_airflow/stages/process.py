"""Run one stage in a process of its own, and end all that it started.

    operator ──request as JSON──► stdin  ┐
             ◄──one JSON record── stdout ├ python -m redraw STAGE --request -
    task log ◄──line by line───── stderr ┘
             ◄──REDRAW_CONTROL_FD──────►  credentials; closes if the operator's process ends

The stage leads a process group. The whole group ends if the stage ends, if the task is stopped or runs out of
time, and, because the socket closes, if the operator's process is killed. TensorFlow's memory is freed with
it, and TensorFlow may be in another interpreter.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from redraw_airflow.stages.credentials import answer_credentials
from redraw_airflow.stages.environment import source_root, stage_environment, stage_flags, stage_python
from redraw_airflow.stages.log import StageLog

# Airflow's supervisor kills a task that still runs 5 s after it was asked to stop.
_GRACE_SECONDS = 3.0
_REAP_SECONDS = 1.0
_POLL_SECONDS = 0.2
_DRAIN_SECONDS = 1.0
_FOREVER = 1e9


@dataclass(frozen=True, kw_only=True)
class FinishedStage:
    """How a stage ended.

    Attributes:
        stage: Its name.
        returncode: The exit status; negative for a signal.
        stdout: Its standard output.
        last_lines: The last lines of its log.
        stopped: Whether it was asked to stop.
    """

    stage: str
    returncode: int
    stdout: bytes
    last_lines: tuple[str, ...]
    stopped: bool


class StageProcess:
    """One stage, ready to run.

    Args:
        stage: The command of `python -m redraw`.
        request: The stage's request, as JSON values.
        gcp_conn_id: The Airflow connection that it gets access tokens from.
        python: The interpreter; `REDRAW_PYTHON`, or the one of this process, by default.
        listen: Called with each line of its log.
        grace_seconds: How long the stage may take to end after SIGTERM before it is killed.
    """

    def __init__(
        self,
        *,
        stage: str,
        request: Mapping[str, Any],
        gcp_conn_id: str,
        python: str | None = None,
        listen: Callable[[str], None] | None = None,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> None:
        self.stage = stage
        self._request = json.dumps(request, allow_nan=False).encode()
        self._gcp_conn_id = gcp_conn_id
        self._python = python or stage_python()
        self._listen = listen
        self._grace_seconds = grace_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> FinishedStage:
        """Run the stage until it ends, and log its standard error.

        Returns:
            How it ended, also if it failed.

        Raises:
            AirflowFailException: The interpreter cannot be started.
        """
        log, stdout = StageLog(self.stage, self._listen), bytearray()
        with answer_credentials(self._gcp_conn_id) as control, self._start(control) as process:
            control.close()
            try:
                self._forward(process, stdout.extend, log.feed)
            finally:
                # An execution timeout may be raised while forwarding.
                if process.poll() is None:
                    self.terminate()
                self._signal_group(signal.SIGKILL)
                log.close()
        return FinishedStage(
            stage=self.stage,
            returncode=process.returncode,
            stdout=bytes(stdout),
            last_lines=tuple(log.last_lines),
            stopped=self._stopped,
        )

    def terminate(self) -> None:
        """End the stage and all that it started, within seconds; safe in a signal handler."""
        self._stopped = True
        if self._process is None:
            return
        for number, seconds in ((signal.SIGTERM, self._grace_seconds), (signal.SIGKILL, _REAP_SECONDS)):
            self._signal_group(number)
            deadline = time.monotonic() + seconds
            while self._group_lives() and time.monotonic() < deadline:
                time.sleep(0.02)

    def _start(self, control: socket.socket) -> subprocess.Popen[bytes]:
        command = [self._python, *stage_flags(), "-m", "redraw", self.stage, "--request", "-"]
        # A file instead of a pipe: a stage that never reads its request cannot block this process.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(self._request)
            stdin.seek(0)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - no shell, and the operator names the program
                    command,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=source_root(),
                    env=stage_environment(control.fileno()),
                    pass_fds=(control.fileno(),),
                    start_new_session=True,
                )
            except OSError as err:
                raise AirflowFailException(
                    f"stage {self.stage}: expected a Python interpreter, got {self._python!r}"
                    f" ({err.strerror}). Correct REDRAW_PYTHON or the operator's python."
                ) from err
        if self._stopped:  # the task was stopped while the process started
            self.terminate()
        return self._process

    def _forward(
        self,
        process: subprocess.Popen[bytes],
        to_stdout: Callable[[bytes], None],
        to_log: Callable[[bytes], None],
    ) -> None:
        """Read both pipes until they end, or shortly after the stage if a descendant keeps them open."""
        deadline: float | None = None
        with selectors.DefaultSelector() as selector:
            for pipe, sink in ((process.stdout, to_stdout), (process.stderr, to_log)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, sink)
            while selector.get_map() and (deadline is None or time.monotonic() < deadline):
                for key, _ in selector.select(_POLL_SECONDS):
                    if chunk := os.read(key.fd, 65536):
                        key.data(chunk)
                    else:
                        selector.unregister(key.fileobj)
                if deadline is None and process.poll() is not None:
                    self._signal_group(signal.SIGKILL)
                    deadline = time.monotonic() + _DRAIN_SECONDS
        # With a timeout, wait() polls; without, it holds a lock that terminate() needs in a signal handler.
        process.wait(timeout=_FOREVER)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None and self._group_lives():
            with suppress(ProcessLookupError):  # it ended just now
                os.killpg(self._process.pid, number)

    def _group_lives(self) -> bool:
        """Whether any process of the group is left; reaps the stage itself."""
        if self._process is None:
            return False
        self._process.poll()
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True
