"""The report as files and on the terminal: JSON for the next stage, a page and a picture for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tasks.files import write_atomically
from tasks.records import ExportedModel, ValidationReport
from tasks.validate.report.page import draw_page

__all__ = ["write_report"]


def write_report(
    report: ValidationReport, exported: ExportedModel, attachments: Mapping[str, str], path: Path
) -> ValidationReport:
    """Write the report, its page and its attachments beside each other.

    The record comes last: where it is, all that it names is there.

    Args:
        report: Every check, passed or not.
        exported: What was examined.
        attachments: File name to text.
        path: The record's file; `NAME.json` has `NAME.html` and `NAME.<attachment>` beside it.

    Returns:
        The report with the URIs of what is beside it.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.parent / (path.stem if path.suffix == ".json" else path.name)
    files = {name: Path(f"{stem}.{name}") for name in attachments} | {"report.html": Path(f"{stem}.html")}
    named = replace(report, attachments={name: str(file) for name, file in sorted(files.items())})
    page = draw_page(named, exported, attachments.get("graphs.svg"))
    for name, text in {**attachments, "report.html": page}.items():
        write_atomically(files[name], text.encode())
    write_atomically(path, json.dumps(named.to_json(), indent=2).encode())
    return named
