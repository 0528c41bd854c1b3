"""The report's files: what stands in them, and that nothing of it acts in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from redraw.records import Check, ValidationReport
from redraw.uri import Uri
from redraw.validate.report.terminal import show_report
from redraw.validate.report.write import write_report

SCRIPT = '<script>alert("&")</script>'


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def report() -> ValidationReport:
    checks = (
        Check(
            name="files-whole", status="passed", looked_at="files", expected="all", found="all", seconds=0.1
        ),
        Check(name="loads", status="failed", looked_at=SCRIPT, expected="[b]", found=SCRIPT, advice="Fix."),
        Check(
            **{"name": "warm-up", "status": "not_run", "looked_at": "nothing", "expected": "x"},
            **{"found": "not run", "advice": "Do.", "waived": "no requests yet"},
        ),
    )
    return ValidationReport(
        model="digits",
        digest="ab" * 32,
        checks=checks,
        passed=False,
        validated_at="2026-01-01T00:00:00Z",
        waivers={"warm-up": "no requests yet"},
    )


def test_write_report_that_failed_writes_all_files_and_names_them(
    report: ValidationReport, make_export: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "report.json"

    written = write_report(report, make_export().record, {"graphs.svg": "<svg/>"}, Uri(path))

    assert ValidationReport.from_json(json.loads(path.read_text())) == written
    assert written.attachments == {
        "graphs.svg": str(tmp_path / "new" / "report.graphs.svg"),
        "report.html": str(tmp_path / "new" / "report.html"),
    }
    assert all(Path(uri).is_file() for uri in written.attachments.values())


def test_write_report_page_shows_every_check_and_runs_nothing(
    report: ValidationReport, make_export: Callable[..., Any], tmp_path: Path
) -> None:
    written = write_report(report, make_export().record, {"graphs.svg": "<svg/>"}, Uri(tmp_path / "r.json"))

    page = Page(Path(written.attachments["report.html"]).read_text())
    tags = [tag for tag, _ in page.tags]
    assert "must not be published" in page.text
    assert page.text.count(SCRIPT) >= 2
    assert "no requests yet" in page.text
    assert not {"script", "link", "img", "iframe"}.intersection(tags)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith(("on", "src"))]
    # Open are the checks that hold it up; the others unfold by a click.
    details = [attributes for tag, attributes in page.tags if tag == "details"]
    assert [attributes["class"] for attributes in details if "open" in attributes] == ["failed"]
    assert [attributes["class"] for attributes in details if "open" not in attributes] == [
        *("passed", "failed", "not_run")
    ]


def test_show_report_on_no_terminal_writes_nothing(
    report: ValidationReport, capsys: pytest.CaptureFixture[str]
) -> None:
    show_report(report)

    assert capsys.readouterr() == ("", "")


def test_show_report_on_a_terminal_shows_a_row_a_check(
    report: ValidationReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")

    show_report(report)

    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    rows = [line for line in shown.splitlines() if re.search("files-whole|loads|warm-up", line)]
    assert len(rows) == 3
    assert "waived: no requests yet" in shown
    assert SCRIPT in shown
