"""Start programs in milliseconds, each in a real process: forked from one that has imported what they need.

    test ──request, a socket──► server ──fork──► keeper ──fork──► program
         ◄──process id, then exit status────────────┘ (waits for it)

The server imports modules and runs none of their code, so every program begins as a new interpreter
would after its imports.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Ended", "ForkServer", "Program"]

_LONGEST_MESSAGE = 1 << 16
_LONGEST_SECONDS = 120.0
_START_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status, negative for a signal, and what it printed."""

    status: int
    stdout: str
    stderr: str


class Program:
    """A program that was started."""

    def __init__(self, keeper: socket.socket, output: Path) -> None:
        self._keeper = keeper
        self._output = output
        self._keeper.settimeout(_START_SECONDS)
        self.pid = int(keeper.recv(_LONGEST_MESSAGE))

    def kill(self) -> None:
        """End it by SIGKILL, wherever it is."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = _LONGEST_SECONDS) -> Ended:
        """Wait for its end; one that takes longer than the bound is killed."""
        self._keeper.settimeout(seconds)
        try:
            status = self._keeper.recv(_LONGEST_MESSAGE)
        except TimeoutError:
            self.kill()
            self._keeper.settimeout(None)
            status = self._keeper.recv(_LONGEST_MESSAGE)
        self._keeper.close()
        return Ended(int(status), *(_printed(self._output, number) for number in (1, 2)))


class ForkServer:
    """A process that has imported modules, and forks programs.

    Args:
        modules: What it imports, beyond the modules of the programs.
        environment: All of its environment.
        folder: Where the programs' output goes.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks", str(theirs.fileno()), *modules],
                env=environment,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, function: str, arguments: Sequence[Any], environment: Mapping[str, str]) -> Program:
        """Start a program.

        Args:
            function: What it calls, as `module:function`; what that returns is its exit status.
            arguments: Of the function; values that JSON can hold.
            environment: Variables that it has in addition to those of the server.

        Returns:
            The program, running.
        """
        self._count += 1
        output = self._folder / str(self._count)
        order = {"function": function, "arguments": [*arguments], "environment": {**environment}}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            message = json.dumps({**order, "output": os.fspath(output)}).encode()
            socket.send_fds(self._channel, [message], [theirs.fileno()])
        return Program(ours, output)

    def close(self) -> None:
        """End the server; programs that still run are not ended."""
        self._channel.close()
        self._process.wait(timeout=30)


def _printed(output: Path, number: int) -> str:
    """What a program printed; nothing if it was killed before it could."""
    path = Path(f"{output}.{number}")
    return path.read_text() if path.exists() else ""


def _serve(channel: socket.socket) -> None:
    """Fork as often as is asked, until the test's process closes its end or dies."""
    # Nobody waits for a keeper.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, _LONGEST_MESSAGE, 1)
        if not message:
            return
        with socket.socket(fileno=descriptors[0]) as test:
            if os.fork() == 0:
                channel.close()
                _keep(json.loads(message), test)


def _keep(order: Mapping[str, object], test: socket.socket) -> NoReturn:
    """Fork the program, and report its id and its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        test.close()
        _run(**order)  # type: ignore[arg-type]
    test.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    test.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run(function: str, arguments: list[Any], environment: dict[str, str], output: str) -> NoReturn:
    """Be the program."""
    for number in (1, 2):
        os.dup2(os.open(f"{output}.{number}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.environ.update(environment)
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    module, _, name = function.partition(":")
    status: object = 1
    try:
        status = getattr(importlib.import_module(module), name)(*arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # The interpreter's own end frees every module, which takes longer than many a program.
        os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        importlib.import_module(name)
    _serve(socket.socket(fileno=int(sys.argv[1])))
