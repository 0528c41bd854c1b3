"""What a page needs worked out, in a process of its own: the API server neither waits nor pays for it.

    page ──request──► stdin  ┐
         ◄──answer── stdout  ├ python -m redraw COMMAND --request -
         ◄──REDRAW_CONTROL_FD──► credentials, and a sign that the API server lives

The worker leads a process group, which ends as a whole: with its answer, at a limit, and when
anyone who waits for it gives up. Few may run at once in each process of the API server.
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

__all__ = ["run_worker"]

_MOST_WORKERS = 2
_MOST_ANSWER = 64 << 20
_LOG_KEPT = 64 << 10
_LOOK_SECONDS = 0.1
_DRAIN_SECONDS = 2.0

_running: set[object] = set()


async def run_worker(command: Sequence[str], request: bytes, *, seconds: float, memory_bytes: int) -> bytes:
    """Run a worker to its end.

    Args:
        command: What follows the interpreter: `-m`, `redraw`, the command, `--request`, `-`.
        request: What it reads from its standard input.
        seconds: When it is stopped.
        memory_bytes: How much may be resident of it and of the processes that it starts. It is
            looked at ten times a second: a limit of the address space would be the simpler one,
            but TensorFlow and the threads of NumPy reserve many times what they use.

    Returns:
        What it wrote to its standard output.

    Raises:
        WorkersBusy: As many run as may; ask again.
        WorkerOverran: It exceeded a limit, and is gone with all that it started.
        WorkerFailed: It failed with an error that has no name.
        RedrawError: The error that it names.
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
        raise WorkerOverran(f"expected an answer within {seconds:g} s, got none. Ask for something smaller.")
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
            f"expected fewer than {_MOST_WORKERS} workers of pages, got {len(_running)} that run."
            " Try again when one has ended."
        )
    mine = object()
    _running.add(mine)
    try:
        yield
    finally:
        _running.discard(mine)


async def _talk(process: Process, request: bytes) -> tuple[bytes, bytes]:
    """Give the request, and take the answer and the end of the log."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("asyncio gives a process the pipes that it is asked for")
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
                f"expected an answer of at most {_MOST_ANSWER} bytes, got more. Ask for something smaller."
            )
    return bytes(content)


async def _read_end(stream: asyncio.StreamReader) -> bytes:
    content = b""
    while chunk := await stream.read(1 << 16):
        content = (content + chunk)[-_LOG_KEPT:]
    return content


async def _watch(pid: int, memory_bytes: int) -> None:
    """Look at the memory for as long as the worker runs."""
    while True:
        used = await asyncio.to_thread(_resident, pid)
        if used > memory_bytes:
            raise WorkerOverran(
                f"expected at most {memory_bytes} bytes of memory, got {used}. Ask for something smaller."
            )
        await asyncio.sleep(_LOOK_SECONDS)


def _resident(pid: int) -> int:
    """The bytes in memory of a process and those that it started; none of one that has ended."""
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        return sum(_own(one) for one in (leader, *leader.children(recursive=True)))
    return 0


def _own(process: psutil.Process) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(process.memory_info().rss)
    return 0


async def _end(process: Process, *watchers: asyncio.Task[object]) -> None:
    """Leave nothing behind: a descendant may hold the pipes open, and nobody would read them."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
    # What nobody reads any more holds up the end: a stream that is full reads no end of file.
    for stream in (process.stdout, process.stderr):
        with suppress(TimeoutError):
            if stream is not None:
                await asyncio.wait_for(_read_end(stream), _DRAIN_SECONDS)
    await process.wait()


def _failure(returncode: int | None, log: bytes) -> Exception:
    lines = [line for line in log.decode("utf-8", errors="replace").splitlines() if line.strip()]
    if named := named_error(lines):
        kind, message = named
        return kind(message)
    last = lines[-1] if lines else "nothing"
    return WorkerFailed(f"expected an answer, got status {returncode}; the worker last wrote: {last}")
