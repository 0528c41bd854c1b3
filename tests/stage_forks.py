"""Stages in milliseconds: an interpreter for `REDRAW_PYTHON` that has TensorFlow imported when it starts.

    operator ──starts──► launcher ──arguments, descriptors──► server ──fork──► keeper ──fork──► stage
             ◄──exit status──┘◄──────────process id, then exit status────────────┘

An operator that stops its stage signals the launcher, which hands that on; the keeper ends the stage
with it. How stages start in new interpreters is tested of stages, in a run of `retrain_and_export`, in
images and of the embedded default, within `new_interpreters`.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from redraw.__main__ import run
from redraw.definition.quiet import quiet_import
from tests.paths import IMPORT_PATH

_LONGEST_MESSAGE = 1 << 17
# What the stages of the tests import in any case.
_NEEDED = (
    "redraw.train.train",
    "redraw.train.keras_loop",
    "redraw.checkpoint.select",
    "redraw.export.export",
    "redraw.validate.validator",
    "redraw.validate.subject.network_reference",
    "redraw.reexport.reexport",
    "redraw.publish.push.push",
    "redraw.publish.live.set_live",
    "redraw.storage.gcs",
    "redraw.ask.golden",
)
# Isolated and without site-packages an interpreter starts in a fiftieth of a second.
_LAUNCHER = """\
#!{python} -IS
import json, os, signal, socket, sys

if sys.argv[1:3] != ["-m", "redraw"] or os.path.exists({plain!r}):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
control = os.environ.get("REDRAW_CONTROL_FD")
descriptors = [0, 1, 2, *([int(control)] if control else [])]
order = {{"arguments": sys.argv[3:], "environment": dict(os.environ), "folder": os.getcwd()}}
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect("\\0" + {address!r})
socket.send_fds(server, [json.dumps(order).encode()], descriptors)
for descriptor in descriptors:
    os.close(descriptor)
stage = int(server.recv(64))
signal.signal(signal.SIGTERM, lambda *_: os.kill(stage, signal.SIGTERM))
status = int(server.recv(64))
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if status != -9 else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextmanager
def quick_interpreter(folder: Path) -> Iterator[str]:
    """Start the server, and make a launcher.

    Args:
        folder: For the launcher and the server's log.

    Yields:
        The launcher's path.
    """
    address, launcher = f"redraw-stages-{uuid.uuid4().hex}", folder / "python"
    plain = os.fspath(_plain(os.fspath(launcher)))
    launcher.write_text(_LAUNCHER.format(python=sys.executable, address=address, plain=plain))
    launcher.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(f"\0{address}")
        listening.listen(32)
        # The server ends when this end of a pipe is closed, as it is if this process dies.
        theirs, ours = os.pipe()
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.stage_forks", str(listening.fileno()), str(theirs)],
                env=os.environ | {"PYTHONPATH": IMPORT_PATH},
                pass_fds=(listening.fileno(), theirs),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(theirs)
    try:
        yield os.fspath(launcher)
    finally:
        os.close(ours)
        server.wait(timeout=30)


@contextmanager
def new_interpreters(launcher: str) -> Iterator[None]:
    """Let stages start in new interpreters within the block, as without a launcher."""
    _plain(launcher).touch()
    try:
        yield
    finally:
        _plain(launcher).unlink()


def _plain(launcher: str) -> Path:
    return Path(launcher).with_name("plain")


def _serve(listening: socket.socket, life: int) -> None:
    """Fork as often as is asked."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    while True:
        ready, _, _ = select.select([listening, life], [], [])
        if life in ready:
            return
        launcher, _ = listening.accept()
        with launcher:
            message, descriptors, _, _ = socket.recv_fds(launcher, _LONGEST_MESSAGE, 4)
            if message and os.fork() == 0:
                listening.close()
                os.close(life)
                _keep(launcher, json.loads(message), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _keep(launcher: socket.socket, order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Fork the stage, report its id and its end, and end it and all of its group with the launcher."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (stage := os.fork()) == 0:
        launcher.close()
        _run(order, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    with suppress(OSError):  # the launcher was killed
        launcher.send(str(stage).encode())
    process = os.pidfd_open(stage)
    ready, _, _ = select.select([process, launcher], [], [])
    if process not in ready:
        os.kill(stage, signal.SIGKILL)
    _, status = os.waitpid(stage, 0)
    with suppress(ProcessLookupError):
        os.killpg(stage, signal.SIGKILL)
    with suppress(OSError):
        launcher.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run(order: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Be the stage."""
    os.setsid()
    environment = order["environment"]
    targets = [0, 1, 2, *([int(environment["REDRAW_CONTROL_FD"])] if len(descriptors) > 3 else [])]
    # First out of the way of each other.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, target in zip(moved, targets, strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [order["folder"], *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["redraw", *order["arguments"]]
    status: object = 1
    try:
        run()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    with quiet_import():
        for name in _NEEDED:
            importlib.import_module(name)
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
