"""Run tests in a copy of the checkout: what each trial of a slip forks."""

from __future__ import annotations

import os
import tempfile

import pytest

__all__ = ["run"]


def run(copy: str, *arguments: str) -> int:
    """In the new process: what `pytest` does in the copy, as if it had just been started there."""
    os.setsid()
    del os.environ["PYTHONSAFEPATH"]
    tempfile.tempdir = None
    os.chdir(copy)
    return int(pytest.main([*arguments]))
