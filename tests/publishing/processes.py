"""Commands of `python -m redraw`, each in a real process that takes milliseconds to start.

Hundreds can be started, and killed, in the time that a few would take for their imports.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from redraw.__main__ import main
from redraw.publish.live import loading
from tests.forks import Ended, ForkServer
from tests.forks import Program as Command
from tests.paths import IMPORT_PATH

__all__ = ["Command", "Ended", "Starter", "run"]

_NEEDED = [
    "tests.publishing.processes",
    "redraw.publish.push.push",
    "redraw.publish.passport.bom",
    "redraw.publish.live.set_live",
    "redraw.publish.prune.prune",
    "redraw.publish.releases",
    "redraw.storage.gcs",
    "redraw.storage.local",
    "google.protobuf.text_format",
    "tensorflow_serving.config.model_server_config_pb2",
]


class Starter:
    """Starts commands.

    Args:
        folder: Where they put what they print.
    """

    def __init__(self, folder: Path) -> None:
        self._server = ForkServer(_NEEDED, os.environ | {"PYTHONPATH": IMPORT_PATH}, folder)

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
        """Start one.

        Args:
            arguments: What follows `python -m redraw`.
            environment: Variables that it has in addition to those of the first one's start.

        Returns:
            The command, running.
        """
        return self._server.start("tests.publishing.processes:run", arguments, environment)

    def close(self) -> None:
        """Start no more."""
        self._server.close()


def run(*arguments: str) -> int:
    """In the new process: what `python -m redraw` does."""
    # What these tests publish is quick to make and no model: nothing could load it.
    loading.demand_loadable = lambda *_: None
    return main([*arguments])
