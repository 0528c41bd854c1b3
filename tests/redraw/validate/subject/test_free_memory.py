"""What the system's files say of memory; each tree is one that a kernel shows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from redraw.validate.subject.memory import available_memory

MACHINE = "MemTotal:       24576000 kB\nMemFree:         1000 kB\nMemAvailable:    8000000 kB\n"
LEFT = 8_000_000 * 1024


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in {"proc/meminfo": MACHINE, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "available"),
    [
        pytest.param({}, LEFT, id="no control groups"),
        pytest.param({"proc/self/cgroup": "0::/user.slice\n"}, LEFT, id="a group without files"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "2000000000\n",
                "sys/fs/cgroup/memory.current": "1500000000\n",
                "sys/fs/cgroup/memory.stat": "anon 7\nactive_file 100000000\ninactive_file 200000000\n",
            },
            800_000_000,
            id="a container's group, version 2: page cache is left",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/pods/one\n",
                "sys/fs/cgroup/pods/one/memory.max": "max\n",
                "sys/fs/cgroup/pods/one/memory.current": "5\n",
                "sys/fs/cgroup/pods/memory.max": "3000000000\n",
                "sys/fs/cgroup/pods/memory.current": "1000000000\n",
            },
            2_000_000_000,
            id="a bound of the group around it",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "600000000\n",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 5\ntotal_inactive_file 100000000\n",
            },
            500_000_000,
            id="a container's group, version 1, under the host's path",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "600000000\n",
            },
            LEFT,
            id="version 1 without a bound",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "100\n",
                "sys/fs/cgroup/memory.current": "200\n",
            },
            0,
            id="a group that is full",
        ),
    ],
)
def test_available_memory_is_the_least_of_the_bounds(
    files: Mapping[str, str], available: int, tmp_path: Path
) -> None:
    assert available_memory(tree(tmp_path, files)) == available


def test_available_memory_of_a_system_without_such_files_is_unknown(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/meminfo, which only Linux has")
def test_available_memory_of_this_machine_is_some_of_it() -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    available = available_memory()

    assert available is not None
    assert 0 < available < total
