"""One hostile input, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FINE", "Case"]

# What nothing is refused of.
FINE = "fine"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A hostile input.

    Attributes:
        name: What the test is called.
        act: Makes the input in an empty folder, and gives it to Redraw.
        expected: The class of the error, or `FINE`; of damage at random several, with `|` between them.
        says: What the error's message has to match.
    """

    name: str
    act: Callable[[Path], object]
    expected: str = "CheckpointCorrupt"
    says: str = ""
