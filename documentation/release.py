"""Check a release: its archives' files, and that they install and work in an empty environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from documentation.site import ROOT
from redraw import __version__

__all__ = ["ReleaseError", "check_release", "find_problems", "notes"]

_SECONDS = 1200
_EXTRAS = "tensorflow,examples"
# Some stages with the quickstart's model and few steps, to check that the installation is complete.
_COMMANDS = (
    ("models",),
    ("train", "--model", "mnist", "--max-steps", "20", "--out", "work/run"),
    ("checkpoint", "--model", "mnist", "--from", "work/run", "--latest", "--catalogue", "work/checkpoints"),
)


class ReleaseError(Exception):
    """The release cannot be published; the message has a line for each reason."""


def check_release(folder: Path, tag: str | None = None) -> None:
    """Check the archives that `make dist` built.

    Args:
        folder: The folder with one wheel and one source distribution.
        tag: The release's tag, if it has one already.

    Raises:
        ReleaseError: The release has problems.
    """
    if tag not in (None, "", f"v{__version__}"):
        raise ReleaseError(f"expected tag v{__version__}, got {tag}")
    wheels, sources = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        raise ReleaseError(f"{folder}: expected one wheel and one .tar.gz, got {sorted(folder.iterdir())}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        in_wheel = {name for name in wheel.namelist() if not name.endswith("/")}
    with tarfile.open(sources[0]) as source:
        in_source = {member.name.partition("/")[2] for member in source if member.isfile()}
    if problems := [*find_problems(_tracked(), in_wheel, in_source), *_changelog_problems()]:
        raise ReleaseError("\n".join(problems))
    for archive in (wheels[0], sources[0]):
        _try(archive)


def find_problems(tracked: Iterable[str], in_wheel: set[str], in_source: set[str]) -> list[str]:
    """Find the files that the archives lack, and those that they should not contain.

    Args:
        tracked: The files of the repository.
        in_wheel: The files of the wheel.
        in_source: The files of the source distribution.
    """
    sources = {"tasks/redraw/": "redraw/", "plugins/redraw_airflow/": "redraw_airflow/"}
    expected = {
        short + path.removeprefix(long)
        for path in tracked
        for long, short in sources.items()
        if path.startswith(long)
    }
    expected_source = {path for path in tracked if path.startswith(("tasks/", "plugins/", "dags/"))}
    expected_source |= {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"}
    packaged = {name for name in in_wheel if ".dist-info/" not in name}
    present = {name.rpartition("/")[2] for name in in_wheel - packaged}
    required = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"}
    return [
        *(f"wheel: lacks {name}" for name in sorted(expected - packaged)),
        *(f"wheel: should not hold {name}" for name in sorted(packaged - expected)),
        *(f"wheel: lacks {name} in its .dist-info" for name in sorted(required - present)),
        *(f"source distribution: lacks {name}" for name in sorted(expected_source - in_source)),
        *(
            f"source distribution: should not hold {name}"
            for name in sorted(in_source - expected_source - {"PKG-INFO", ".gitignore"})
        ),
    ]


def notes(changelog: str, version: str) -> str:
    """The text of a version's section in the changelog; empty if there is none."""
    section = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    return section[1].strip() if section else ""


def _changelog_problems() -> list[str]:
    section = notes((ROOT / "CHANGELOG.md").read_text(), __version__)
    return [] if section else [f"CHANGELOG.md: expected a section '## [{__version__}] - DATE', got none"]


def _tracked() -> list[str]:
    return _run(["git", "ls-files"], ROOT).splitlines()


def _try(archive: Path) -> None:
    """Install an archive with the locked versions in an empty environment, and run it there."""
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        python = home / "bin" / "python"
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, name], ROOT)
        requirement = f"airflow-provider-redraw[{_EXTRAS}] @ {archive.resolve().as_uri()}"
        (home / "wanted.txt").write_text(requirement)
        constraints = ("--constraint", str(ROOT / "requirements.txt"))
        _run(
            [uv, "pip", "install", "--quiet", "--python", str(python), *constraints, "-r", "wanted.txt"], home
        )
        for command in _COMMANDS:
            _run([str(home / "bin" / "redraw"), *command], home)
        (checkpoint,) = (home / "work" / "checkpoints" / "mnist").iterdir()
        export = ("--model", "mnist", "--checkpoint", str(checkpoint), "--out", "work/model")
        _run([str(home / "bin" / "redraw"), "export", *export], home)


def _run(command: Sequence[str], folder: Path) -> str:
    hidden = ("PYTHON", "REDRAW", "AIRFLOW", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    process = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS
    )
    if process.returncode:
        raise ReleaseError(f"{' '.join(command)}: ended with {process.returncode}\n{process.stderr[-2000:]}")
    return process.stdout
