"""The report as files and on the terminal: JSON for the next stage, a page and a picture for people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from redraw.errors import OutputExists
from redraw.records import ExportedModel, ValidationReport
from redraw.records.results import AnswerComparison
from redraw.records.results.comparison import ANSWERS_NAME
from redraw.settings import check_help
from redraw.storage.opening import write_uri
from redraw.storage.replacing import demand_replaceable
from redraw.uri import Uri
from redraw.validate.outcome import group_dependents, is_dependent


def check_place(uri: Uri, exported: ExportedModel) -> None:
    """Refuse to write a report over something else, or into what is examined.

    Raises:
        OutputExists: Another file is there, such as the export's own record, or it is in the SavedModel.
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

    The record comes last: where it is, all that it names is there.

    Args:
        report: Every check, passed or not.
        exported: What was examined.
        attachments: File name to text.
        uri: The record's file, local or in a bucket; `NAME.json` has `NAME.html` and
            `NAME.<attachment>` next to it.

    Returns:
        The report with the URIs of what is next to it.
    """
    uri = uri.absolute()
    stem = uri.removesuffix(".json")
    files = {name: Uri(f"{stem}.{name}") for name in attachments} | {"report.html": Uri(f"{stem}.html")}
    named = replace(report, attachments=dict(sorted(files.items())))
    answers = attachments.get(ANSWERS_NAME)
    page = draw_page(
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


def draw_page(
    report: ValidationReport,
    exported: ExportedModel,
    picture: str | None,
    answers: AnswerComparison | None = None,
) -> str:
    """Draw the page.

    Args:
        report: Every check.
        exported: What was examined.
        picture: An SVG of ours, whose own values are escaped already; None where none was drawn.
        answers: How far the answers are from the live version's; None where they were not compared.

    Returns:
        An HTML document.
    """
    sums = {
        "passed": sum(check.status == "passed" for check in report.checks),
        "failed": sum(check.status == "failed" for check in report.checks),
        "not run": sum(check.status == "not_run" for check in report.checks),
        "waived": sum(bool(check.waived) for check in report.checks),
    }
    return _TEMPLATES.get_template("page.html").render(
        report=report,
        held_up=[check for check in report.checks if not check.admits and not is_dependent(check)],
        dependents=group_dependents(check for check in report.checks if not check.admits),
        exported=exported,
        sums={name: count for name, count in sums.items() if count},
        # Drawn with every value escaped, and never from outside; it has to stand in the page as it is.
        picture=None if picture is None else Markup(picture),  # noqa: S704
        answers=answers,
        seconds=sum(check.seconds for check in report.checks),
    )
