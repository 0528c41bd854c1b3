"""Print tables on standard output."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from redraw.errors import printable

# The width without a terminal.
_WIDTH = 160


def open_console(*, highlight: bool = True) -> Console:
    """Standard output, as wide as its terminal.

    Args:
        highlight: Whether rich colours numbers and paths in text.
    """
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH, highlight=highlight)


def cell(value: str, style: str = "") -> Text:
    """Text without markup; characters that could control a terminal are escaped."""
    return Text(printable(value), style=style)
