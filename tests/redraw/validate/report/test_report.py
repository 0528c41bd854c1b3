"""The report's files: what stands in them, and that nothing of it acts in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from redraw.errors import OutputExists
from redraw.export.destination import open_destination
from redraw.names import ModelName
from redraw.records import Check, ValidationReport
from redraw.records.results import AnswerComparison, OutputDifference
from redraw.uri import Uri
from redraw.validate.outcome import skip_dependent
from redraw.validate.report.write import announce_check, check_place, show_report, write_report

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
            name="warm-up",
            status="not_run",
            looked_at="nothing",
            expected="x",
            found="not run",
            advice="Do.",
            waived="no requests yet",
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
        "passed",
        "failed",
        "not_run",
    ]


def test_write_report_of_a_model_of_many_outputs_shows_their_answers(
    report: ValidationReport, make_export: Callable[..., Any], tmp_path: Path
) -> None:
    found = AnswerComparison(
        model=ModelName("digits"),
        version=None,
        other=7,
        tolerance=0.01,
        rows=1,
        outputs=(OutputDifference(signature="s", output="last", dtype="int64", rows=1, changed=0),),
        left_out=("x" * 200_000,) * 15,
    )
    attachments = {"answers.json": found.to_bytes().decode()}
    written = write_report(report, make_export().record, attachments, Uri(tmp_path / "r.json"))
    page = Page(Path(written.attachments["report.html"]).read_text())
    assert "Answers next to those of live version 7" in page.text
    assert "0 of 1 rows changed" in page.text


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


def test_show_report_of_what_waits_for_one_failure_is_one_row(
    report: ValidationReport,
    make_export: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = [skip_dependent(f"check-{number}", "loads") for number in range(27)]
    report = replace(report, checks=(*report.checks, *waiting))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "400")

    show_report(report)

    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert shown.count("27 checks need loads, which did not pass: check-0, check-1") == 1
    assert len(shown.splitlines()) < 15
    written = write_report(report, make_export().record, {}, Uri(tmp_path / "r.json"))
    page = Page(Path(written.attachments["report.html"]).read_text())
    assert page.text.count("27 checks need loads") == 1
    assert len([tag for tag, attributes in page.tags if "open" in attributes]) == 1


@pytest.mark.parametrize(
    "name",
    ["model.json", "model.ledger.json", "model.files.json", "model/report.json", "notes.txt", "folder"],
)
def test_check_place_of_something_else_is_refused_and_kept(
    name: str, make_export: Callable[..., Any], tmp_path: Path
) -> None:
    exported = replace(make_export().record, uri=Uri(tmp_path / "model"))
    (tmp_path / "model").mkdir()
    (tmp_path / "folder").mkdir()
    for other in ("model.json", "model.ledger.json", "model.files.json", "notes.txt"):
        (tmp_path / other).write_bytes(exported.to_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    with pytest.raises(OutputExists, match="Choose another --report"):
        check_place(Uri(tmp_path / name), exported)

    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_check_place_of_an_earlier_report_or_nothing_passes(
    report: ValidationReport, make_export: Callable[..., Any], tmp_path: Path
) -> None:
    exported = make_export().record
    check_place(Uri(tmp_path / "report.json"), exported)
    write_report(report, exported, {}, Uri(tmp_path / "report.json"))
    check_place(Uri(tmp_path / "report.json"), exported)


def test_check_place_behind_a_link_into_the_export_is_refused(
    make_export: Callable[..., Any], tmp_path: Path
) -> None:
    exported = replace(make_export().record, uri=Uri(tmp_path / "model"))
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    with pytest.raises(OutputExists, match="outside of the SavedModel"):
        check_place(Uri(tmp_path / "link" / "report.json"), exported)


@pytest.mark.parametrize("name", ["net.weights", "net"])
def test_open_destination_next_to_another_file_of_that_name_is_refused(
    name: str, make_export: Callable[..., Any], tmp_path: Path
) -> None:
    """An index of Keras' weights has the name that the export's record would have."""
    (tmp_path / f"{name}.json").write_text('{"weight_map": {}}')
    with (
        pytest.raises(OutputExists, match=f"{name}.json: the export would write its record here"),
        open_destination(Uri(tmp_path / name)),
    ):
        pass
    (tmp_path / f"{name}.json").write_bytes(make_export().record.to_bytes())
    with open_destination(Uri(tmp_path / name)) as place:
        assert not place.remote


def test_announced_check_that_holds_up_names_its_page(
    report: ValidationReport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("REDRAW_DOCS", "https://docs.example/redraw")
    for check in report.checks:
        announce_check(check)

    ends = [line.rpartition(") ")[2] for line in caplog.messages]
    page = "See https://docs.example/redraw/reference/checks.html#loads"
    assert [page == end for end in ends] == [False, True, False]
    monkeypatch.delenv("REDRAW_DOCS")
    announce_check(report.checks[1])
    assert caplog.messages[-1].endswith("(0.0 s)")


def test_show_report_on_a_terminal_names_the_page_of_what_holds_up(
    report: ValidationReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("REDRAW_DOCS", "https://docs.example")

    show_report(report)

    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert re.findall(r"See (\S+)", shown) == ["https://docs.example/reference/checks.html#loads"]
