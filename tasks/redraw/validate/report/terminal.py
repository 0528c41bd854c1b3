"""The report for who waits for it: a table on a terminal, a line a check in any other log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraw.console import cell
from redraw.records import Check, ValidationReport
from redraw.settings import check_help
from redraw.validate.outcome import group_dependents, is_dependent

__all__ = ["announce_check", "announce_dependents", "show_report"]

logger = logging.getLogger(__name__)

_STYLES = {"passed": "green", "failed": "bold red", "not_run": "yellow"}


def announce_check(check: Check) -> None:
    """Log one check when it is done."""
    level = logging.INFO if check.admits else logging.ERROR
    text = f"{check.found} ({check.seconds:.1f} s){_more(check)}"
    logger.log(level, "%s %s: %s", check.status, check.name, text)


def announce_dependents(checks: Iterable[Check]) -> None:
    """Log those that were left out because of another one: a line for each of these."""
    for lacked, names in group_dependents(checks).items():
        logger.error("%s: %s", lacked, ", ".join(names))


def show_report(report: ValidationReport) -> None:
    """Show all checks as a table on standard error, if that is a terminal; a log has had them already."""
    if sys.stderr.isatty():
        Console(stderr=True).print(_table(report))


def _more(check: Check) -> str:
    """Where the documentation describes a check that holds up the export, if that is known."""
    address = "" if check.admits else check_help(check.name)
    return f" See {address}" if address else ""


def _table(report: ValidationReport) -> Table:
    verdict = "may be published" if report.passed else "must not be published"
    table = Table("Status", "Check", "Found", "Seconds", title=f"{report.model} {verdict}")
    table.columns[1].no_wrap = True
    table.columns[3].justify = "right"
    for check in report.checks:
        if is_dependent(check):
            continue
        text = f"{check.found} (waived: {check.waived})" if check.waived else check.found
        found = cell(text + _more(check))
        status = Text(check.status.replace("_", " "), _STYLES[check.status])
        table.add_row(status, check.name, found, f"{check.seconds:.1f}")
    for lacked, names in group_dependents(report.checks).items():
        table.add_row(Text("not run", _STYLES["not_run"]), "", Text(f"{lacked}: {', '.join(names)}"), "")
    return table
