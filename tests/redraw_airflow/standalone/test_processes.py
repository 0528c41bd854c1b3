from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from redraw_airflow.standalone.processes import Service, end_services, last_lines, start_service

# A leader with a child in its session and one in a session of its own, as a stage is.
_FAMILY = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    started: list[Service] = []

    def start_ready(program: str) -> Service:
        log = tmp_path / f"{len(started)}.log"
        started.append(start_service("sleeper", [sys.executable, "-c", program], os.environ, log))
        deadline = time.monotonic() + 20
        while "ready" not in log.read_text():
            assert time.monotonic() < deadline, f"not ready: {log.read_text()}"
            time.sleep(0.02)
        return started[-1]

    yield start_ready
    end_services(started, seconds=0.1)


def _alive(processes: set[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_end_services_child_in_session_of_its_own_is_ended_too(start: Callable[[str], Service]) -> None:
    service = start(_FAMILY)
    family = service.family()

    end_services([service])

    assert len(family) == 3
    assert _alive(family) == []
    assert not service.is_running()


def test_end_services_leader_that_died_ends_the_rest_of_its_session(start: Callable[[str], Service]) -> None:
    service = start(_FAMILY)
    leader = psutil.Process(service.pid)
    orphans = service.family() - {leader}
    leader.kill()
    leader.wait(timeout=10)

    same_session = {p for p in orphans if os.getsid(p.pid) == service.pid}
    end_services([service])

    assert len(same_session) == 1
    assert _alive(same_session) == []
    for orphan in orphans - same_session:
        orphan.kill()


def test_end_services_process_that_ignores_sigterm_is_killed(start: Callable[[str], Service]) -> None:
    service = start(_STUBBORN)
    began = time.monotonic()

    end_services([service], seconds=0.5)

    assert not service.is_running()
    assert time.monotonic() - began < 5


def test_end_services_recycled_process_id_is_left_alone(start: Callable[[str], Service]) -> None:
    other = start(_FAMILY)
    recorded = dataclasses.replace(other, created=other.created - 60)

    end_services([recorded])

    assert not recorded.is_running()
    assert len(_alive(other.family())) == 3


def test_is_running_zombie_counts_as_ended(start: Callable[[str], Service]) -> None:
    service = start(_STUBBORN)
    os.kill(service.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while psutil.Process(service.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert not service.is_running()


def test_start_service_output_of_the_program_goes_to_its_log(start: Callable[[str], Service]) -> None:
    service = start("import sys; print('ready'); print('to stderr', file=sys.stderr)")

    assert {"ready", "to stderr"} == set(_eventual_lines(service.log, 2))


def test_start_service_is_not_ended_with_its_starter(tmp_path: Path, import_path: dict[str, str]) -> None:
    program = (
        "import os, sys; from pathlib import Path;"
        "from redraw_airflow.standalone.processes import start_service;"
        "s = start_service('s', [sys.executable, '-c', 'import time; time.sleep(600)'], os.environ,"
        f" Path({str(tmp_path / 'log')!r})); print(s.pid, s.created)"
    )
    environment = os.environ | import_path
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    pid, created = done.stdout.split()
    service = Service(name="s", pid=int(pid), created=float(created), log="")

    assert service.is_running()
    end_services([service])
    assert not service.is_running()


def test_last_lines_long_log_gives_its_end_without_blank_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n\n" for number in range(100)))

    assert last_lines(str(log), 2) == ("line 98", "line 99")


def _eventual_lines(log: str, count: int) -> tuple[str, ...]:
    deadline = time.monotonic() + 10
    while len(lines := last_lines(log)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return lines
