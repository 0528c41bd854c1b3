"""Commands of `python -m redraw`, each in a real process that takes milliseconds to start.

They are forked from one process that has imported what they need and done nothing yet: so
hundreds can be started, and killed, in the time that a few would take for their imports.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from redraw.__main__ import main
from redraw.publish.live import loading

__all__ = ["Command", "Ended", "Starter"]

_NEEDED = [
    *("__main__", "tests.publishing.processes"),
    *(
        "redraw.publish.push.push",
        "redraw.publish.live.set_live",
        "redraw.publish.prune.prune",
        "redraw.publish.releases",
        "redraw.storage.gcs",
    ),
    *("google.protobuf.text_format", "tensorflow_serving.config.model_server_config_pb2"),
]
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, negative for a signal, and what it printed."""

    status: int
    stdout: str
    stderr: str


class Command:
    """A command that was started."""

    def __init__(self, process: BaseProcess, output: Path) -> None:
        self._process = process
        self._output = output

    def kill(self) -> None:
        """End it by SIGKILL, wherever it is."""
        self._process.kill()

    def wait(self) -> Ended:
        """Wait for its end; one that never ends is killed."""
        self._process.join(_LONGEST_SECONDS)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
        status = self._process.exitcode
        assert status is not None
        return Ended(status, *(_printed(self._output, number) for number in (1, 2)))


class Starter:
    """Starts commands.

    Args:
        folder: Where they put what they print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_NEEDED)
        self._count = 0

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
        """Start one.

        Args:
            arguments: What follows `python -m redraw`.
            environment: Variables that it has besides those of the first one's start.

        Returns:
            The command, running.
        """
        self._count += 1
        output = self._folder / f"{self._count}"
        process = self._context.Process(target=_run, args=(list(arguments), dict(environment), output))
        process.start()
        return Command(process, output)


def _run(arguments: list[str], environment: dict[str, str], output: Path) -> None:
    """In the new process: what `python -m redraw` does."""
    os.environ.update(environment)
    # What these tests publish is quick to make and no model: nothing could load it.
    loading.demand_loadable = lambda release: None
    for number in (1, 2):
        os.dup2(os.open(f"{output}.{number}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.exit(main(arguments))


def _printed(output: Path, number: int) -> str:
    """What a command printed; nothing where it was killed before it could."""
    path = Path(f"{output}.{number}")
    return path.read_text() if path.exists() else ""
