"""Show people which checkpoints the catalogue has."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraw.checkpoint.catalogue.store import folder_name
from redraw.records import Checkpoint
from redraw.records.results import CheckpointList

__all__ = ["print_checkpoints"]

# Where no terminal says how wide it is.
_WIDTH = 160


def print_checkpoints(listed: CheckpointList) -> None:
    """Print a table to standard output.

    Args:
        listed: A model's checkpoints.
    """
    table = Table(title=f"{len(listed.checkpoints):,} checkpoints of {listed.model}", title_justify="left")
    for heading in ("Trained at", "Checkpoint", "Format", "Bytes", "Run", "Metrics", "Where"):
        table.add_column(heading, justify="right" if heading == "Bytes" else "left", overflow="fold")
    for checkpoint in listed.checkpoints:
        # As they are: a file's name may hold what rich would take for a style.
        table.add_row(*(Text(cell) for cell in _cells(checkpoint)))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH).print(table)


def _cells(checkpoint: Checkpoint) -> tuple[str, ...]:
    return (
        checkpoint.trained_at,
        folder_name(checkpoint.step, checkpoint.digest),
        checkpoint.format,
        f"{checkpoint.size_bytes:,}",
        checkpoint.run or "",
        ", ".join(f"{name} {value:.4g}" for name, value in checkpoint.metrics.items()),
        "in the catalogue" if checkpoint.prefix else checkpoint.uri,
    )
