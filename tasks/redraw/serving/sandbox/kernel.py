"""System calls for which Python has no function."""

from __future__ import annotations

import ctypes
import os
import platform

MACHINE = platform.machine()
_LIBC = ctypes.CDLL(None, use_errno=True)
# The call's number: the same for all architectures, or (x86_64, aarch64).
_NUMBERS: dict[str, int | tuple[int, int]] = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "mount_setattr": 442,
    "capset": (126, 91),
    "pivot_root": (155, 41),
}
_MACHINES = ("x86_64", "aarch64")


def call(name: str, *arguments: object) -> int:
    """Call a function of the C library.

    Raises:
        OSError: The call failed.
    """
    ctypes.set_errno(0)
    result = int(getattr(_LIBC, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call_number(name: str, *arguments: object) -> int:
    """Call a kernel function that the C library lacks.

    Raises:
        OSError: The call failed, or its number on this machine is unknown.
    """
    numbers = _NUMBERS[name]
    if isinstance(numbers, tuple):
        if MACHINE not in _MACHINES:
            raise OSError(f"the system call number of {name} on {MACHINE} is unknown")
        numbers = numbers[_MACHINES.index(MACHINE)]
    return call("syscall", ctypes.c_long(numbers), *arguments)


def prctl(option: int, *values: object) -> int:
    """Call `prctl`, which changes a property of this thread.

    Raises:
        OSError: The call failed.
    """
    filled = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in (*values, 0, 0, 0, 0)]
    return call("prctl", option, *filled[:4])
