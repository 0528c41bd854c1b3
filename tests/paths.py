"""Where the checkout lies, and what a process that tests start needs to import from it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["IMPORT_PATH", "ROOT", "TESTS"]

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
IMPORT_PATH = os.pathsep.join(map(os.fspath, (ROOT, ROOT / "tasks", ROOT / "plugins")))
