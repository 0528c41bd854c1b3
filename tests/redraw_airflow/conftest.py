"""An Airflow home of its own for these tests, and small programs that stand where an interpreter would."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.paths import ROOT

# Airflow reads these when it is first imported, and would write into the user's home without them.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="redraw-airflow-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Makes an executable of Python source; it is started as `python=` would be."""

    def write(source: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path[0] = {os.fspath(ROOT)!r}\n{textwrap.dedent(source)}"
        )
        path.chmod(0o755)
        return os.fspath(path)

    return write


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process has ended; an orphan that nobody has reaped yet has."""

    def check(pid: int) -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z"

    return check
