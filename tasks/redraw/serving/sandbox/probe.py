"""Report the sandbox of models on this machine: `python -m redraw.serving.sandbox.probe FOLDER`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from redraw.serving.sandbox.enter import Sandbox, enter_sandbox

_SECONDS = 30


def probe_sandbox() -> Sandbox:
    """Enter a sandbox in a process of its own, which then ends.

    Returns:
        The layers that are in force and those that are missing.

    Raises:
        subprocess.SubprocessError: The process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(  # noqa: S603 - no shell, and this interpreter
            [sys.executable, "-m", "redraw.serving.sandbox.probe", str(Path(folder).resolve())],
            cwd=Path(__file__).parents[3],
            env={"LC_ALL": "C.UTF-8"},
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    return Sandbox(**json.loads(ran.stdout))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(enter_sandbox(Path(sys.argv[1]))), allow_nan=False))
