"""Try what a model could: `python probe.py FOLDER PORT inside|outside REFUSED…`, JSON on standard output.

REFUSED are the numbers of system calls that the kernel refuses to this process, as a container without
extra rights, or an old kernel, would.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from redraw.serving.sandbox import seccomp
from redraw.serving.sandbox.enter import enter_sandbox
from redraw.serving.sandbox.kernel import prctl

_NO_NEW_PRIVILEGES = 38


def refuse(numbers: list[int]) -> None:
    """Have the kernel refuse system calls, to this process and all that it starts."""
    lines = [(seccomp._LOAD, 0, 0, seccomp._NUMBER)]
    for number in numbers:
        lines += [(seccomp._EQUAL, 0, 1, number), (seccomp._RETURN, 0, 0, seccomp._FAIL | 1)]
    lines.append((seccomp._RETURN, 0, 0, seccomp._ALLOW))
    held = (seccomp._Instruction * len(lines))(*(seccomp._Instruction(*line) for line in lines))
    prctl(_NO_NEW_PRIVILEGES, 1)
    prctl(seccomp._SET_SECCOMP, seccomp._FILTER, ctypes.byref(seccomp._Program(len(held), held)))


def attempts(folder: Path, port: int) -> dict[str, Callable[[], object]]:
    """What is tried: each gives something, or raises an OSError."""
    parent = os.getppid()
    outside = folder.parent / "outside"
    return {
        "read the model": lambda: (folder / "saved_model.pb").read_bytes(),
        "read /etc/passwd": lambda: Path("/etc/passwd").read_bytes(),
        "read a file next to the model": lambda: (folder.parent / "secret").read_bytes(),
        "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "list processes": lambda: list(Path("/proc").glob("[1-9]*"))[0],
        "list what lies next to the model": lambda: _list_with_secret(folder.parent),
        "write next to the model": lambda: outside.write_bytes(b"x"),
        "write into the model": lambda: (folder / "added").write_bytes(b"x"),
        "change the model": lambda: (folder / "saved_model.pb").open("r+b"),
        "make and remove a folder": lambda: ((folder / "made").mkdir(), (folder / "made").rmdir()),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 5),
        "open a socket": lambda: socket.socket(socket.AF_UNIX),
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "fork": _fork,
        "signal the parent": lambda: os.kill(parent, signal.SIGCONT),
        "trace the parent": lambda: _trace(parent),
        "mount": lambda: _mount(folder.parent / "mounted"),
    }


def _mount(target: Path) -> None:
    libc, path = ctypes.CDLL(None, use_errno=True), os.fsencode(target)
    _raising(libc.mount(b"none", path, b"tmpfs", 0, None))
    _raising(libc.umount2(path, 0))


def _list_with_secret(folder: Path) -> None:
    """The tree of a sandbox has the folders above the model, with nothing else in them."""
    if "secret" not in os.listdir(folder):
        raise OSError("nothing there")


def _raising(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _fork() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def _trace(process: int) -> None:
    """PTRACE_SEIZE, which stops nobody, and PTRACE_DETACH."""
    libc = ctypes.CDLL(None, use_errno=True)
    _raising(libc.ptrace(0x4206, process, None, None))
    libc.ptrace(17, process, None, None)


def try_all(tried: dict[str, Callable[[], object]]) -> dict[str, bool]:
    """What could be done."""
    done = {}
    for name, attempt in tried.items():
        try:
            attempt()
            done[name] = True
        except (OSError, IndexError, subprocess.SubprocessError):
            done[name] = False
    return done


def main() -> None:
    """Be refused, enter the sandbox, and try."""
    folder, port, mode = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3]
    refuse([int(number) for number in sys.argv[4:]])
    tried = attempts(folder, port)
    sandbox = enter_sandbox(folder) if mode == "inside" else None
    layers = {} if sandbox is None else {"layers": dict(sandbox.layers), "hides": sandbox.hides_files}
    sys.stdout.write(json.dumps({"done": try_all(tried), **layers}))


if __name__ == "__main__":
    main()
