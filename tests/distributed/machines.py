"""A machine, as far as a stage can tell: folders of its own for a home, for scratch and to work in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.paths import ROOT

__all__ = ["Machine"]

_STAGE_SECONDS = 300.0


class Machine:
    """Runs stages on folders that no other machine has.

    Args:
        folder: For everything of this machine; it is made.
        storage: The URL of the storage server.
        more: Other environment variables.
    """

    def __init__(self, folder: Path, storage: str, more: Mapping[str, str] | None = None) -> None:
        self.home, self.temporary, self.work = (folder / name for name in ("home", "tmp", "cwd"))
        for path in (self.home, self.temporary, self.work):
            path.mkdir(parents=True)
        self._environment = {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "STORAGE_EMULATOR_HOST": storage,
            **(more or {}),
        }

    def start(self, stage: str, request: Mapping[str, Any]) -> subprocess.Popen[str]:
        """Start a stage."""
        process = subprocess.Popen(
            [sys.executable, "-m", "redraw", stage, "--request", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.work,
            env=self._environment,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, stage: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a stage to its good end, and give its record."""
        process = self.start(stage, request)
        printed, log = process.communicate(timeout=_STAGE_SECONDS)
        assert process.returncode == 0, log[-4000:]
        record: dict[str, Any] = json.loads(printed)
        return record

    def left(self) -> list[str]:
        """The files that its stages have left behind.

        Not counted are what libraries keep in the home, and the byte code of AutoGraph, which
        TensorFlow leaves in the folder for temporary files.
        """
        files = [path for folder in (self.temporary, self.work) for path in folder.rglob("*")]
        return sorted(
            path.name for path in files if path.is_file() and path.suffix != ".pyc" and path.name != ".lock"
        )
