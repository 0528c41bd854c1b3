"""Write the report as JSON for the next stage, and as a page for people; show it on the terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redraw.console import cell
from redraw.errors import OutputExists
from redraw.records import Check, ExportedModel, ValidationReport
from redraw.records.results import AnswerComparison
from redraw.records.results.comparison import ANSWERS_NAME
from redraw.settings import check_help
from redraw.storage.opening import demand_replaceable, write_uri
from redraw.uri import Uri
from redraw.validate.outcome import group_dependents, is_dependent

logger = logging.getLogger(__name__)
_STYLES = {"passed": "green", "failed": "bold red", "not_run": "yellow"}


def check_place(uri: Uri, exported: ExportedModel) -> None:
    """Refuse to write a report over another file, or into the examined SavedModel.

    Raises:
        OutputExists: The place has another file, such as the export's record, or is in the SavedModel.
    """
    report, folder = uri.absolute(), exported.uri.absolute()
    if not report.is_bucket and not folder.is_bucket:
        report, folder = Uri(os.path.realpath(report)), Uri(os.path.realpath(folder))
    if f"{report}/".startswith(f"{folder}/"):
        raise OutputExists(
            f"{uri}: expected a file outside of the SavedModel {folder}. Choose another --report."
        )
    demand_replaceable(report, ValidationReport, "--report")


def write_report(
    report: ValidationReport, exported: ExportedModel, attachments: Mapping[str, str], uri: Uri
) -> ValidationReport:
    """Write the report, its page and its attachments next to each other.

    The record comes last: once it exists, every file that it names exists.

    Args:
        report: Every check, passed or not.
        exported: The examined export.
        attachments: File name to text.
        uri: The record's file, local or in a bucket; `NAME.json` has `NAME.html` and
            `NAME.<attachment>` next to it.

    Returns:
        The report with the URIs of the files next to it.
    """
    uri = uri.absolute()
    stem = uri.removesuffix(".json")
    files = {name: Uri(f"{stem}.{name}") for name in attachments} | {"report.html": Uri(f"{stem}.html")}
    named = replace(report, attachments=dict(sorted(files.items())))
    answers = attachments.get(ANSWERS_NAME)
    page = _draw_page(
        named,
        exported,
        attachments.get("graphs.svg"),
        None if answers is None else AnswerComparison.from_text(answers, ANSWERS_NAME, len(answers)),
    )
    for name, text in {**attachments, "report.html": page}.items():
        write_uri(files[name], text.encode())
    write_uri(uri, named.to_bytes())
    return named


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


_TEMPLATES.globals.update(check_help=check_help)


def _draw_page(
    report: ValidationReport,
    exported: ExportedModel,
    picture: str | None,
    answers: AnswerComparison | None = None,
) -> str:
    """Draw the page; the picture is an SVG from `draw_picture`, which escapes its values."""
    sums = {
        "passed": sum(check.status == "passed" for check in report.checks),
        "failed": sum(check.status == "failed" for check in report.checks),
        "not run": sum(check.status == "not_run" for check in report.checks),
        "waived": sum(bool(check.waived) for check in report.checks),
    }
    return _TEMPLATES.get_template("page.html").render(
        report=report,
        blocking=[check for check in report.checks if not check.admits and not is_dependent(check)],
        dependents=group_dependents(check for check in report.checks if not check.admits),
        exported=exported,
        sums={name: count for name, count in sums.items() if count},
        # Not escaped again: `draw_picture` escapes every value, and the picture never comes from outside.
        picture=None if picture is None else Markup(picture),  # noqa: S704
        answers=answers,
        seconds=sum(check.seconds for check in report.checks),
    )


def announce_check(check: Check) -> None:
    """Log one check when it is done."""
    level = logging.INFO if check.admits else logging.ERROR
    text = f"{check.found} ({check.seconds:.1f} s){_more(check)}"
    logger.log(level, "%s %s: %s", check.status, check.name, text)


def announce_dependents(checks: Iterable[Check]) -> None:
    """Log the skipped checks: one line for each check that they depend on."""
    for lacked, names in group_dependents(checks).items():
        logger.error("%s: %s", lacked, ", ".join(names))


def show_report(report: ValidationReport) -> None:
    """Show all checks as a table on standard error if that is a terminal; otherwise the log has them."""
    if sys.stderr.isatty():
        Console(stderr=True).print(_table(report))


def _more(check: Check) -> str:
    """A link to the documentation of a check that blocks publication, if there is one."""
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
        finding = cell(text + _more(check))
        status = Text(check.status.replace("_", " "), _STYLES[check.status])
        table.add_row(status, check.name, finding, f"{check.seconds:.1f}")
    for lacked, names in group_dependents(report.checks).items():
        table.add_row(Text("not run", _STYLES["not_run"]), "", Text(f"{lacked}: {', '.join(names)}"), "")
    return table
