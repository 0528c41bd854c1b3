import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redraw.__main__ import COMMANDS
from redraw.errors import error_named
from redraw.records import ValidationReport
from redraw_airflow.settings import SETTINGS
from tests.paths import ROOT

README = (ROOT / "README.md").read_text()


def block(language: str, start: str) -> str:
    """The first fenced block of a language that begins with `start`."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return next(text for text in blocks if text.startswith(start))


def test_readme_example_of_an_own_model_trains_exports_and_validates(tmp_path: Path) -> None:
    package = tmp_path / "my_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "wine.py").write_text(block("python", '"""Which of three vineyards'))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
    }
    commands = block("sh", "export PYTHONPATH")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    report = ValidationReport.from_text((tmp_path / "work" / "report.json").read_bytes(), "report")
    assert report.passed
    assert report.model == "wine"


def test_readme_lists_every_setting_as_its_table_says() -> None:
    rows = [f"| `{setting.variable}` | {setting.description} | {setting.unset} |" for setting in SETTINGS]
    table = README.split("| Variable | What it says | Default |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.splitlines() == rows


STAGES = README.split("## The stages\n")[1].split("\n## ")[0]


def test_readme_names_every_command_among_the_stages() -> None:
    named = {*re.findall(r"`redraw (\w+) ", STAGES), *re.findall(r"`([a-z]+)`", STAGES)}
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize("name", re.findall(r"`([A-Z]\w+)`", STAGES))
def test_readme_error_names_exist(name: str) -> None:
    assert error_named(name).__name__ == name


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_readme_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_readme_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"run", "stop", "clean", "test", "bench"} <= named
    for target in named:
        assert re.search(rf"^(?:[a-z-]+ )*{target}(?: [a-z-]+)*:", makefile, re.MULTILINE), target
