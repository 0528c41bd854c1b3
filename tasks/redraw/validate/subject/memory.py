"""Check that the weights fit in memory before they are loaded: the kernel kills a process that takes more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from redraw.validate.outcome import CannotRun

# Measured with 0.6 and 2.6 GB of weights: loaded or restored, they take 1.055 times their bytes.
_PER_BYTE = 1.06
# The processes themselves: 0.7 GB for TensorFlow in this one, 0.4 GB for the serving process.
_OVERHEAD = 1_200_000_000


def demand_memory(what: str, weights: int) -> None:
    """Demand free memory for weights and for the processes that hold them.

    Args:
        what: What needs the weights; starts the message.
        weights: Their size in bytes, times the number of copies in memory at once.

    Raises:
        CannotRun: The machine or the container has less free memory.
    """
    available = available_memory()
    needed = weights * _PER_BYTE + _OVERHEAD
    if available is not None and available < needed:
        raise CannotRun(
            f"{what} takes {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are free",
            "Validate on a machine with more memory, or waive the check: --waive CHECK=REASON.",
        )


def weight_bytes(folder: Path) -> int:
    """The bytes of a SavedModel's weights."""
    return sum(path.stat().st_size for path in (folder / "variables").glob("variables.data-*"))


_ROOT = Path("/")
_KIB = 1024


def available_memory(root: Path = _ROOT) -> int | None:
    """The bytes that this process may still take.

    Args:
        root: Where `proc` and `sys` are.

    Returns:
        The free memory of the machine or of the control group, whichever is less. Page cache counts
        as free, because the kernel can reclaim it. None if the system does not report it.
    """
    sizes = [*_of_machine(root / "proc/meminfo"), *_of_groups(root)]
    return max(0, min(sizes)) if sizes else None


def _of_machine(meminfo: Path) -> Iterator[int]:
    for line in _lines(meminfo):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * _KIB


def _of_groups(root: Path) -> Iterator[int]:
    """The free memory of this process's control group and of each group above it."""
    mounts = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names, start = ("memory.max", "memory.current", ""), mounts
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            start = mounts / "memory"
        else:
            continue
        group = start / path.lstrip("/")
        # In a container the path may be the host's; then only the container's own root exists.
        for folder in (group, *group.parents):
            yield from _free(folder, *names)
            if folder == start:
                break


def _free(folder: Path, limit: str, usage: str, prefix: str) -> Iterator[int]:
    """A group's free memory: its limit minus the memory that it uses and cannot reclaim."""
    limit_bytes, used_bytes = _number(folder / limit), _number(folder / usage)
    if limit_bytes is None or used_bytes is None:  # no limit, or no such group here
        return
    counts = dict(line.split() for line in _lines(folder / "memory.stat"))
    cache = sum(int(counts.get(f"{prefix}{name}", 0)) for name in ("active_file", "inactive_file"))
    yield limit_bytes - used_bytes + cache


def _number(path: Path) -> int | None:
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # another system, another version of control groups, or none
        return []
