"""The report as files and on the terminal: JSON for the next stage, a page and a picture for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from redraw.records import ExportedModel, ValidationReport
from redraw.storage.opening import write_uri
from redraw.validate.report.page import draw_page

__all__ = ["write_report"]


def write_report(
    report: ValidationReport, exported: ExportedModel, attachments: Mapping[str, str], uri: str
) -> ValidationReport:
    """Write the report, its page and its attachments beside each other.

    The record comes last: where it is, all that it names is there.

    Args:
        report: Every check, passed or not.
        exported: What was examined.
        attachments: File name to text.
        uri: The record's file, local or in a bucket; `NAME.json` has `NAME.html` and
            `NAME.<attachment>` beside it.

    Returns:
        The report with the URIs of what is beside it.
    """
    uri = uri if "://" in uri else str(Path(uri).absolute())
    stem = uri.removesuffix(".json")
    files = {name: f"{stem}.{name}" for name in attachments} | {"report.html": f"{stem}.html"}
    named = replace(report, attachments=dict(sorted(files.items())))
    page = draw_page(named, exported, attachments.get("graphs.svg"))
    for name, text in {**attachments, "report.html": page}.items():
        write_uri(files[name], text.encode())
    write_uri(uri, json.dumps(named.to_json(), indent=2).encode())
    return named
