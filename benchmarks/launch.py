"""Runs one command and writes what it took: `launch.py REPORT COMMAND…`.

A process of its own, and a small one: on Linux a process inherits, as its own peak, the
memory of the one that it was forked from. Here that is this bare interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(report: str, command: list[str]) -> int:
    """Run the command, and write its seconds and its peak; its exit status is this one's.

    Processor time is that of the command and of whatever it started and waited for; the peak
    is the largest single process of them. `ru_maxrss` is in KiB on Linux, in bytes on macOS.
    """
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    with open(report, "w") as file:
        cpu_seconds = usage.ru_utime + usage.ru_stime
        json.dump(
            {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": usage.ru_maxrss * unit}, file
        )
    # A shell's way to tell of a signal.
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
