"""Runs one command and writes its figures: `launch.py REPORT COMMAND…`.

It is a small process, because on Linux a process inherits the memory of its parent as its own peak: here that
of this bare interpreter.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(report: str, command: list[str]) -> int:
    """Run the command, write its time and peak memory, and return its exit status.

    Processor time includes the processes that the command started and waited for. The peak is that of the
    largest of them. `ru_maxrss` is in KiB on Linux, in bytes on macOS.
    """
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    with open(report, "w") as file:
        cpu_seconds = usage.ru_utime + usage.ru_stime
        json.dump(
            {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": usage.ru_maxrss * unit}, file
        )
    # Report a signal like a shell.
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
