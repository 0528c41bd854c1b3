"""Landlock: which files this thread, and those that it starts, may read; and no write, TCP or signal at all.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

from redraw.serving.sandbox.kernel import call_number

_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
# How many kinds of access to files each version of the interface knows; the last holds for later ones.
_KINDS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_FROM, _SCOPES_FROM = 4, 6
_BIND_AND_CONNECT = _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]  # noqa: RUF012 - as ctypes wants it


def restrict_files(readable: Iterable[Path]) -> str:
    """Give up every file but those below some paths, which are read.

    Raises:
        OSError: The kernel has no Landlock, or it is turned off.
    """
    version = call_number("landlock_create_ruleset", None, 0, _VERSION)
    ruleset = _create(version)
    try:
        for path in readable:
            _allow(ruleset, path)
        call_number("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return f"version {version}"


def _create(version: int) -> int:
    kinds = _KINDS.get(version, max(_KINDS.values()))
    fields = [(1 << kinds) - 1]
    if version >= _TCP_FROM:
        fields.append(_BIND_AND_CONNECT)
    if version >= _SCOPES_FROM:
        fields.append(_ABSTRACT_SOCKETS_AND_SIGNALS)
    attributes = (ctypes.c_uint64 * len(fields))(*fields)
    return call_number("landlock_create_ruleset", attributes, ctypes.sizeof(attributes), 0)


def _allow(ruleset: int, path: Path) -> None:
    descriptor = os.open(path, os.O_PATH)
    try:
        allowed = _READ_FILE | _EXECUTE | (_READ_FOLDER if path.is_dir() else 0)
        rule = _PathBeneath(allowed, descriptor)
        call_number("landlock_add_rule", ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
