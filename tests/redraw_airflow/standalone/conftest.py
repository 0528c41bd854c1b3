"""What a program of the embedded default needs when a test starts it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def import_path() -> dict[str, str]:
    """The environment variable with which `python -m redraw.embedded` is found."""
    return {"PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "plugins")])}
