"""A draft that asks: at a real terminal, and not without one."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from redraw.errors import InvalidRequest
from tests.redraw.draft.test_draft import draft, two_heads

_SECONDS = 240


def read_until(terminal: int, text: str) -> str:
    """What appears on the terminal up to some text, within a bound."""
    shown, end = "", time.monotonic() + _SECONDS
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"expected {text!r} within {_SECONDS} s, got {shown[-2000:]!r}"
        shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


def test_draft_asks_at_a_terminal_until_the_answer_is_one_of_the_candidates(tmp_path: Path) -> None:
    meta = two_heads(tmp_path)
    terminal, theirs = os.openpty()
    command = [sys.executable, "-m", "redraw", "draft", str(meta), "--name", "churn", "--interactive"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        try:
            asked = read_until(terminal, "separated by commas: ")
            os.write(terminal, b"9\n")
            read_until(terminal, "separated by commas: ")
            number = re.search(r"(\d+)  second:0  \(", asked)
            assert number, asked
            os.write(terminal, f"{number[1]}\n".encode())
            assert process.stdout is not None
            drafted = json.loads(process.stdout.read())
            assert process.wait(_SECONDS) == 0
        finally:
            process.kill()
            os.close(terminal)
    assert "Which tensor is the answer?" in asked
    assert re.search(r"outputs = \{\s*'second': 'second:0',?\s*\}", drafted["module"].replace('"', "'"))


def test_draft_that_would_ask_without_a_terminal_lists_the_candidates_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = two_heads(tmp_path)
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(InvalidRequest, match=r"interactive: expected a terminal, got none\. .*second:0"):
            draft(meta, interactive=True)
