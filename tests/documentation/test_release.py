"""What is published: the archives' content, the notes, and the workflows that publish."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from documentation.release import find_problems, notes
from redraw import __version__
from tests.paths import ROOT

_WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
_TRACKED = ("tasks/redraw/a.py", "plugins/redraw_airflow/b.html", "dags/c.py", "tests/d.py", "README.md")
_WHEEL = {"redraw/a.py", "redraw_airflow/b.html"} | {
    f"x-1.dist-info/{name}"
    for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
}
_SOURCE = {*_TRACKED[:3], "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO"}


def test_find_problems_of_good_archives_finds_none() -> None:
    assert find_problems(_TRACKED, _WHEEL, _SOURCE) == []


@pytest.mark.parametrize(
    ("wheel", "source", "problem"),
    [
        (_WHEEL - {"redraw_airflow/b.html"}, _SOURCE, "wheel: lacks redraw_airflow/b.html"),
        (_WHEEL | {"tests/d.py"}, _SOURCE, "wheel: should not hold tests/d.py"),
        (_WHEEL - {"x-1.dist-info/licenses/LICENSE"}, _SOURCE, "wheel: lacks LICENSE in its .dist-info"),
        (_WHEEL, _SOURCE - {"dags/c.py"}, "source distribution: lacks dags/c.py"),
        (_WHEEL, _SOURCE | {"docker/.env"}, "source distribution: should not hold docker/.env"),
    ],
)
def test_find_problems_names_each(wheel: set[str], source: set[str], problem: str) -> None:
    assert find_problems(_TRACKED, wheel, source) == [problem]


def test_changelog_has_notes_of_this_version() -> None:
    said = notes((ROOT / "CHANGELOG.md").read_text(), __version__)
    assert re.findall(r"^### (\w+)$", said, re.MULTILINE) == ["Added", "Changed", "Fixed"]


def test_changelog_entries_are_short_and_appear_once() -> None:
    entries = re.findall(
        r"^- (.*?)(?=^- |^\n|\Z)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert [entry for entry in entries if len(entry) > 320] == []
    assert sorted(set(entries)) == sorted(entries)


@pytest.mark.parametrize(
    ("schema", "files"), [("vendor.github-workflows", _WORKFLOWS), ("vendor.github-issue-forms", _FORMS)]
)
def test_github_files_keep_to_their_schema(schema: str, files: list[Path]) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [program, "--builtin-schema", schema, *files], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", _WORKFLOWS, ids=lambda path: path.name)
def test_workflow_runs_make_targets_and_pinned_actions_alone(path: Path) -> None:
    text = path.read_text()
    assert all(re.search(r"@v\d+\.\d+\.\d+$", used) for used in re.findall(r"uses: (\S+)", text))
    assert all(command.startswith("make ") for command in re.findall(r"run: (.+)", text))
    makefile = (ROOT / "Makefile").read_text()
    matrix = re.search(r"target: \[(.*)\]", text)
    targets = re.findall(r"run: make ([a-z-]+)", text) + (matrix[1].split(", ") if matrix else [])
    assert targets
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
