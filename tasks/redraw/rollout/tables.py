"""Print the result of a rollout as a table."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from redraw.console import cell, open_console
from redraw.records import Rollout


def print_rollout(rollout: Rollout) -> None:
    """Print a table to standard output."""
    console = open_console()
    table = Table(title=Text(f"{rollout.uri}, after {rollout.seconds:.1f} s"), title_justify="left")
    for column in ("Server", "Address", "State", "Loaded after", "Received"):
        table.add_column(column)
    for server in rollout.servers:
        loaded = "" if server.loaded_seconds is None else f"{server.loaded_seconds:.1f} s"
        cells = (server.server, server.address, server.state.replace("_", " "), loaded, server.received)
        table.add_row(*map(cell, cells))
    console.print(table)
    if rollout.note:
        console.print(cell(rollout.note))
