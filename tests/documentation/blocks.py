"""The fenced blocks of the documentation: what they hold, and what a comment above them says.

`<!-- not run: REASON -->` says why no test runs a block, `<!-- file: PATH -->` that it is what a file holds.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.paths import ROOT

__all__ = ["PAGES", "Block", "read_blocks"]

# Read first: the others use what these publish.
_FIRST = ("docs/start/first-model.md", "docs/start/old-checkpoints.md")
_OTHERS = sorted(
    path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
)
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>file|not run): (?P<said>[^\n]+) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: What follows its fence.
        text: What it holds.
        not_run: Why nothing runs it; empty if something does.
        file: The file that it is the content of; empty if it is none.
    """

    language: str
    text: str
    not_run: str = ""
    file: str = ""


def read_blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    blocks = []
    for found in _BLOCK.finditer((ROOT / Path(page)).read_text()):
        marks = {"not run": "", "file": "", found["mark"] or "": found["said"] or ""}
        text = textwrap.dedent(found["text"])
        blocks.append(Block(found["language"], text, marks["not run"], marks["file"]))
    return blocks


PAGES = [
    page for page in (*_FIRST, *(other for other in _OTHERS if other not in _FIRST)) if read_blocks(page)
]
