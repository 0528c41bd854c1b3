"""The report as one page of HTML that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from redraw.records import ExportedModel, ValidationReport

__all__ = ["draw_page"]

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def draw_page(report: ValidationReport, exported: ExportedModel, picture: str | None) -> str:
    """Draw the page.

    Args:
        report: Every check.
        exported: What was examined.
        picture: An SVG of ours, whose own values are escaped already; None where none was drawn.

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
        exported=exported,
        sums={name: count for name, count in sums.items() if count},
        # Drawn with every value escaped, and never from outside; it has to stand in the page as it is.
        picture=None if picture is None else Markup(picture),  # noqa: S704
        seconds=sum(check.seconds for check in report.checks),
    )
