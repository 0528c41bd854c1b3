"""Background processes that outlive the command that starts them, and can be ended exactly.

A process is identified by its id and its start time, because another process may get the same id later.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# Start times count from the kernel's boot time, which moves when the clock is set.
_CLOCK_TOLERANCE = 2.0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process in the background, which leads a session.

    Attributes:
        name: Its name for users.
        pid: Its process id.
        created: When it started, in seconds since the epoch.
        log: The file of its output.
    """

    name: str
    pid: int
    created: float
    log: str

    def is_running(self) -> bool:
        """Whether exactly this process still runs."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            return self._is(process) and not _is_gone(process)
        return False

    def family(self) -> set[psutil.Process]:
        """The processes of its session, even if its leader has ended, and their descendants."""
        with suppress(psutil.NoSuchProcess):
            if not self._is(psutil.Process(self.pid)):
                # Another process has the id, so the session is gone: ids of living sessions are not reused.
                return set()
        members = [process for process in psutil.process_iter() if _session(process) == self.pid]
        family = set(members)
        for member in members:
            with suppress(psutil.NoSuchProcess):
                family.update(member.children(recursive=True))
        return family

    def _is(self, process: psutil.Process) -> bool:
        return abs(process.create_time() - self.created) < _CLOCK_TOLERANCE


def start_service(name: str, command: list[str], environment: Mapping[str, str], log: Path) -> Service:
    """Start a program that continues after this one has ended.

    Args:
        name: Its name for users.
        command: The program and its arguments.
        environment: All of its environment.
        log: The file for its output.

    Raises:
        OSError: The program cannot be started, or the log cannot be written.
    """
    # Not subprocess: its Popen warns if it is deleted before its process ends.
    pid = os.posix_spawnp(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    created = psutil.Process(pid).create_time()
    return Service(name=name, pid=pid, created=created, log=str(log))


def end_services(services: Iterable[Service], seconds: float = 20.0) -> None:
    """End services and everything that they started, and wait until all have ended.

    They get SIGTERM, and SIGKILL if they have not ended in time.

    Args:
        services: The services to end; those that no longer run are skipped.
        seconds: How long they may take to end.
    """
    family = {process for service in services for process in service.family()}
    for end in (psutil.Process.terminate, psutil.Process.kill):
        _signal(family, end)
        deadline = time.monotonic() + seconds
        while family and time.monotonic() < deadline:
            time.sleep(0.05)
            family = {process for process in family if not _is_gone(process)}


def last_lines(log: str, count: int = 5) -> tuple[str, ...]:
    """The last lines of a log that are not empty."""
    try:
        with Path(log).open(errors="replace") as file:
            return tuple(deque((line.rstrip() for line in file if line.strip()), maxlen=count))
    except FileNotFoundError:
        return ()


def _signal(processes: Iterable[psutil.Process], end: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            end(process)


def _is_gone(process: psutil.Process) -> bool:
    # A zombie counts as gone, because a container's first process may never reap it.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None
