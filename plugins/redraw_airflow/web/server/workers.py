"""Worker processes for expensive requests of pages, which must not block or burden the API server.

    page ──request──► stdin  ┐
         ◄──answer── stdout  ├ python -m redraw COMMAND --request -
         ◄──REDRAW_CONTROL_FD──► credentials; closes if the API server ends

The worker leads a process group. The whole group ends with the answer, at a limit, and if the client
disconnects. Only a few workers may run at once in each process of the API server.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil

from redraw_airflow.settings import WEB_CONNECTION
from redraw_airflow.stages.credentials import answer_credentials
from redraw_airflow.stages.environment import source_root, stage_environment, stage_flags, stage_python
from redraw_airflow.stages.outcome import named_error
from redraw_airflow.web.server.errors import WorkerFailed, WorkerOverran, WorkersBusy

_MOST_WORKERS = 2
_MOST_ANSWER = 64 << 20
_LOG_KEPT = 64 << 10
_LOOK_SECONDS = 0.1
_DRAIN_SECONDS = 2.0

_running: set[object] = set()


async def run_worker(command: Sequence[str], request: bytes, *, seconds: float, memory_bytes: int) -> bytes:
    """Run a worker until it ends.

    Args:
        command: The arguments of the interpreter: `-m`, `redraw`, the command, `--request`, `-`.
        request: The worker's standard input.
        seconds: The time limit.
        memory_bytes: The limit of resident memory of the worker and the processes that it starts, checked ten
            times a second. A limit of the address space would be simpler, but TensorFlow and NumPy's threads
            reserve many times what they use.

    Returns:
        The worker's standard output.

    Raises:
        WorkersBusy: Too many workers are running.
        WorkerOverran: The worker exceeded a limit and was ended with all that it started.
        WorkerFailed: The worker failed without a named error.
        RedrawError: The worker's named error.
    """
    with _slot(), answer_credentials(WEB_CONNECTION.read()) as control:
        process = await asyncio.create_subprocess_exec(
            stage_python(),
            *stage_flags(),
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=source_root(),
            env=stage_environment(control.fileno()),
            pass_fds=(control.fileno(),),
            start_new_session=True,
        )
        control.close()
        talk = asyncio.create_task(_talk(process, request))
        watch = asyncio.create_task(_watch(process.pid, memory_bytes))
        try:
            done, _ = await asyncio.wait({talk, watch}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(process, talk, watch)
    if not done:
        raise WorkerOverran(f"expected an answer within {seconds:g} s, got none. Send a smaller request.")
    for task in done:
        if err := task.exception():
            raise err.exceptions[0] if isinstance(err, BaseExceptionGroup) else err
    answer, log = talk.result()
    if process.returncode != 0:
        raise _failure(process.returncode, log)
    return answer


@contextmanager
def _slot() -> Iterator[None]:
    if len(_running) >= _MOST_WORKERS:
        raise WorkersBusy(
            f"expected fewer than {_MOST_WORKERS} running computations, got {len(_running)}. Try again in a"
            " moment."
        )
    slot = object()
    _running.add(slot)
    try:
        yield
    finally:
        _running.discard(slot)


async def _talk(process: Process, request: bytes) -> tuple[bytes, bytes]:
    """Send the request, and read the answer and the end of the log."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("asyncio makes the requested pipes")
    process.stdin.write(request)
    # A worker may end before it has read all of it.
    with suppress(ConnectionError):
        await process.stdin.drain()
    process.stdin.close()
    async with asyncio.TaskGroup() as reading:
        answer = reading.create_task(_read_all(process.stdout))
        log = reading.create_task(_read_end(process.stderr))
    await process.wait()
    return answer.result(), log.result()


async def _read_all(stream: asyncio.StreamReader) -> bytes:
    content = bytearray()
    while chunk := await stream.read(1 << 16):
        content += chunk
        if len(content) > _MOST_ANSWER:
            raise WorkerOverran(
                f"expected an answer of at most {_MOST_ANSWER} bytes, got more. Send a smaller request."
            )
    return bytes(content)


async def _read_end(stream: asyncio.StreamReader) -> bytes:
    content = b""
    while chunk := await stream.read(1 << 16):
        content = (content + chunk)[-_LOG_KEPT:]
    return content


async def _watch(pid: int, memory_bytes: int) -> None:
    """Check the memory while the worker runs."""
    while True:
        used = await asyncio.to_thread(_resident, pid)
        if used > memory_bytes:
            raise WorkerOverran(
                f"expected at most {memory_bytes} bytes of memory, got {used}. Send a smaller request."
            )
        await asyncio.sleep(_LOOK_SECONDS)


def _resident(pid: int) -> int:
    """The resident bytes of a process and its descendants; 0 if it has ended."""
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        return sum(_resident_alone(process) for process in (leader, *leader.children(recursive=True)))
    return 0


def _resident_alone(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


async def _end(process: Process, *watchers: asyncio.Task[object]) -> None:
    """End the process group: a descendant may keep the pipes open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    # Drain the pipes first, or a full pipe blocks and EOF never arrives.
    for stream in (process.stdout, process.stderr):
        with suppress(TimeoutError):
            if stream is not None:
                await asyncio.wait_for(_read_end(stream), _DRAIN_SECONDS)
    await process.wait()


def _failure(returncode: int | None, log: bytes) -> Exception:
    lines = [line for line in log.decode("utf-8", errors="replace").splitlines() if line.strip()]
    if error := named_error(lines):
        kind, message = error
        return kind(message)
    last = lines[-1] if lines else "nothing"
    return WorkerFailed(f"expected an answer, got status {returncode}; the worker last wrote: {last}")
