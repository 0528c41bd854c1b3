"""How much a model may take: memory for its weights and requests, and nothing on a disk."""

from __future__ import annotations

import os
import resource
from pathlib import Path

# Loaded, weights take 1.06 times their bytes; the rest is for copies in the layout that a kernel wants.
_PER_BYTE = 3
# For the runtime (0.4 GB), a request's tensors and what is computed of them.
_BESIDE = 4_000_000_000
# A thread's stack, of several pools of threads as large as the machine.
_PER_CORE = 32_000_000
# Address space that is reserved and not taken: the library's, and what malloc sets aside for each thread.
_RESERVED, _RESERVED_PER_CORE = 8_000_000_000, 8 * (64 << 20)
_OPEN_FILES, _THREADS, _THREADS_PER_CORE = 4096, 256, 16


def most_bytes(folder: Path) -> int:
    """The memory that a model may take."""
    weights = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return _PER_BYTE * weights + _BESIDE + _PER_CORE * (os.cpu_count() or 1)


def limit_resources(folder: Path, *, own_user: bool) -> str:
    """Limit this process for good.

    Args:
        folder: The model that it will load.
        own_user: Whether its user is of a namespace of its own: only there its threads are counted apart.
    """
    memory, cores = most_bytes(folder), os.cpu_count() or 1
    limits = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_AS: memory + _RESERVED + _RESERVED_PER_CORE * cores,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
    }
    if own_user:
        limits[resource.RLIMIT_NPROC] = _THREADS + _THREADS_PER_CORE * cores
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
    return f"{memory} bytes of memory, no files written"
