"""Give the process a user, a network and a file tree of its own.

The new tree has only the readable paths, each at its old place and read-only, without /proc,
configuration or home folders. The network has no interface that is up, not even loopback.

Source: https://man7.org/linux/man-pages/man7/user_namespaces.7.html, pivot_root(2), mount_setattr(2)
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from redraw.serving.sandbox.kernel import call, call_number

_NEW_USER, _NEW_MOUNTS, _NEW_NETWORK, _NEW_IPC, _NEW_UTS = (
    0x10000000,
    0x20000,
    0x40000000,
    0x8000000,
    0x4000000,
)
_OTHERS = _NEW_MOUNTS | _NEW_NETWORK | _NEW_IPC | _NEW_UTS
_BIND, _RECURSIVE, _PRIVATE, _NOSUID, _NODEV, _NOEXEC = 0x1000, 0x4000, 1 << 18, 2, 4, 8
_DETACH, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 2, -100, 0x8000, 1
_CAPABILITY_VERSION = 0x20080522
# The new tree is mounted over one of these folders, which the process does not need.
_ROOTS = ("/tmp", "/mnt", "/srv", "/sys")  # noqa: S108 - nothing is written there


def enter_namespaces() -> str:
    """Leave the machine's namespaces of users, network, mounts and messages.

    Raises:
        OSError: The kernel or the container refuses.
    """
    user, group = os.getuid(), os.getgid()
    try:
        call("unshare", _NEW_USER | _OTHERS)
    except OSError:
        call("unshare", _OTHERS)  # root may do this without a user namespace
        return "network, mounts, ipc"
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return "user, network, mounts, ipc"


def hide_files(readable: Iterable[Path]) -> None:
    """Make a tree of the readable paths the root folder.

    Args:
        readable: Absolute paths without links.

    Raises:
        OSError: The kernel refuses; the files are unchanged then.
    """
    call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
    opened = {path: os.open(path, os.O_PATH) for path in readable}
    root = next(root for root in _ROOTS if os.path.isdir(root)).encode()
    call("mount", b"none", root, b"tmpfs", _NOSUID | _NODEV | _NOEXEC, b"size=1m,mode=755")
    try:
        for path, descriptor in opened.items():
            _bind(descriptor, Path(os.fsdecode(root) + str(path)))
        _add_own_name(Path(os.fsdecode(root), "proc/self"))
        attributes = (ctypes.c_uint64 * 4)(_READ_ONLY, 0, 0, 0)
        call_number("mount_setattr", _AT_FDCWD, root, _AT_RECURSIVE, attributes, ctypes.sizeof(attributes))
        os.chdir(root)
        call_number("pivot_root", b".", b".")
    except OSError:
        call("umount2", root, _DETACH)
        raise
    finally:
        for descriptor in opened.values():
            os.close(descriptor)
    call("umount2", b".", _DETACH)
    os.chdir("/")


def _bind(descriptor: int, target: Path) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    call("mount", source.encode(), os.fsencode(target), None, _BIND | _RECURSIVE, None)


def _add_own_name(folder: Path) -> None:
    """Add the process's own name: TensorFlow's runtime aborts if it cannot read it."""
    folder.mkdir(parents=True)
    (folder / "exe").symlink_to(sys.executable)
    (folder / "cmdline").write_bytes(os.fsencode(sys.executable) + b"\0")


def drop_capabilities() -> None:
    """Give up the capabilities of root.

    Raises:
        OSError: The kernel refuses.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    call_number("capset", header, (ctypes.c_uint32 * 6)())
