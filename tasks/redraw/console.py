"""What commands show people on standard output."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from redraw.errors import printable

# Where no terminal says how wide it is.
_WIDTH = 160


def open_console(*, highlight: bool = True) -> Console:
    """Standard output, as wide as its terminal.

    Args:
        highlight: Whether rich colours numbers and paths in text.
    """
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH, highlight=highlight)


def cell(value: str, style: str = "") -> Text:
    """Text as it is, and no markup; what could command a terminal is shown, not sent to it."""
    return Text(printable(value), style=style)
