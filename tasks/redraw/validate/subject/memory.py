"""Whether there is room for the weights that a check needs: beyond it the kernel ends the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from redraw.validate.outcome import CannotRun

# Measured of 0.6 and 2.6 GB: loaded or restored they take 1.055 times their bytes.
_PER_BYTE = 1.06
# What it takes on top: TensorFlow in the process of the checks 0.7 GB, the C++ runtime in the other 0.4 GB.
_BESIDE = 1_200_000_000


def demand_memory(what: str, weights: int) -> None:
    """Demand room for weights, and for what has them.

    Args:
        what: What they are needed for.
        weights: Their bytes, as often as they are held at once.

    Raises:
        CannotRun: The machine, or the container, has less left.
    """
    available = available_memory()
    needed = weights * _PER_BYTE + _BESIDE
    if available is not None and available < needed:
        raise CannotRun(
            f"{what} takes {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are left",
            "Validate where there is more, or waive the check by its name: --waive CHECK=REASON.",
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
        What the machine has left, or the control group, whichever is less; page cache counts as
        left, for the kernel gives it up. None where the system does not say.
    """
    found = [*_of_machine(root / "proc/meminfo"), *_of_groups(root)]
    return max(0, min(found)) if found else None


def _of_machine(meminfo: Path) -> Iterator[int]:
    for line in _lines(meminfo):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * _KIB


def _of_groups(root: Path) -> Iterator[int]:
    """What the group of this process has left, and each that it is in, down from the root."""
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
        # Within a container the path may be the host's: then only the container's own root is there.
        for folder in (group, *group.parents):
            yield from _left(folder, *names)
            if folder == start:
                break


def _left(folder: Path, limit: str, usage: str, prefix: str) -> Iterator[int]:
    """What a group has left: its limit less what it holds and would not give up."""
    bound, held = _number(folder / limit), _number(folder / usage)
    if bound is None or held is None:  # no limit, or no such group here
        return
    counts = dict(line.split() for line in _lines(folder / "memory.stat"))
    cache = sum(int(counts.get(f"{prefix}{name}", 0)) for name in ("active_file", "inactive_file"))
    yield bound - held + cache


def _number(path: Path) -> int | None:
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # another system, another version of control groups, or none
        return []
