"""Give up everything but one model, in the process that is about to load it.

    limits ─► namespaces ─► capabilities ─► Landlock ─► seccomp

Each layer holds without the others, and each may be missing: in a container without extra rights
there are no namespaces, in an old kernel no Landlock. What is in force is reported.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import resource
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redraw.serving.sandbox.kernel import call_number, prctl
from redraw.serving.sandbox.namespaces import drop_capabilities, enter_namespaces, hide_files
from redraw.serving.sandbox.seccomp import filter_calls

_SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES = 4, 38
# What the runtime asks about the machine; no other file of /proc, /sys and /etc is there.
_MACHINE_FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
)
_OWN_NAME = Path("/proc/self/cmdline")  # which TensorFlow's runtime cannot do without
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_PACKAGES = ("redraw", "numpy", "tensorflow")
# Loaded, weights take 1.06 times their bytes; the rest is for copies in the layout that a kernel wants.
_PER_BYTE = 3
# For the runtime (0.4 GB), a request's tensors and what is computed of them.
_BESIDE = 4_000_000_000
# A thread's stack, of several pools of threads as large as the machine.
_PER_CORE = 32_000_000
# Address space that is reserved and not taken: the library's, and what malloc sets aside for each thread.
_RESERVED, _RESERVED_PER_CORE = 8_000_000_000, 8 * (64 << 20)
_OPEN_FILES, _THREADS, _THREADS_PER_CORE = 4096, 256, 16
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
# How many kinds of access to files each version of the interface knows; the last holds for later ones.
_KINDS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_FROM, _SCOPES_FROM = 4, 6
_BIND_AND_CONNECT = _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What a model is kept in.

    Attributes:
        layers: Layer to what of it is in force.
        missing: Layer to why it is not.
    """

    layers: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def hides_files(self) -> bool:
        """Whether files other than the model's are out of reach: without that there is no sandbox."""
        return "landlock" in self.layers or "files" in self.layers

    def __str__(self) -> str:
        in_force = ", ".join(f"{name} ({what})" for name, what in self.layers.items())
        lacking = ", ".join(f"{name} ({why})" for name, why in self.missing.items())
        return f"sandbox: {in_force or 'none'}" + (f"; missing: {lacking}" if lacking else "")


def enter_sandbox(folder: Path) -> Sandbox:
    """Give up all but what loading and asking a model needs; there must be no other thread yet.

    Args:
        folder: The model, without links in its path.

    Returns:
        What is in force now. Nothing of it can be taken back.
    """
    layers, missing = dict[str, str](), dict[str, str]()

    def add(name: str, layer: Callable[[], Any]) -> None:
        try:
            layers[name] = layer() or "in force"
        except OSError as err:
            missing[name] = err.strerror or str(err)

    readable = [*_readable(), folder]
    add("namespaces", enter_namespaces)
    if "namespaces" in layers:
        add("files", lambda: hide_files(readable))
    add("limits", lambda: _limit_resources(folder, own_user=layers.get("namespaces", "").startswith("user")))
    add("privileges", _drop_privileges)
    add("landlock", lambda: _restrict_files([*readable, _OWN_NAME]))
    add("seccomp", filter_calls)
    return Sandbox(layers=layers, missing=missing)


def _drop_privileges() -> None:
    prctl(_SET_NO_NEW_PRIVILEGES, 1)
    prctl(_SET_DUMPABLE, 0)
    drop_capabilities()


def _readable() -> list[Path]:
    """The interpreter, the libraries, and what tells of the machine: real paths, outermost first."""
    code = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    specs = (importlib.util.find_spec(name) for name in _PACKAGES)
    packages = [str(Path(spec.origin).parents[1]) for spec in specs if spec is not None and spec.origin]
    named = [*code, *packages, f"{sys.base_prefix}/lib", *_LIBRARIES, *_MACHINE_FILES]
    paths = sorted({Path(name).resolve() for name in named if Path(name).exists()})
    return [path for path in paths if not any(other in path.parents for other in paths)]


def most_bytes(folder: Path) -> int:
    """The memory that a model may take."""
    weights = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return _PER_BYTE * weights + _BESIDE + _PER_CORE * (os.cpu_count() or 1)


def _limit_resources(folder: Path, *, own_user: bool) -> str:
    """Limit this process for good; only of a user of a namespace of its own the threads are counted alone."""
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


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]  # noqa: RUF012 - as ctypes wants it


def _restrict_files(readable: Iterable[Path]) -> str:
    """Landlock: this thread may read files below some paths, and no write, TCP or signal is left at all.

    Source:
        https://docs.kernel.org/userspace-api/landlock.html
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
