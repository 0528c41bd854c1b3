"""Check a release: what its archives hold, and that they install and work in an empty environment."""

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
# The quickstart's model, through the stages: a few steps show that the installation is whole.
_COMMANDS = (
    ("models",),
    ("train", "--model", "mnist", "--max-steps", "20", "--out", "work/run"),
    ("checkpoint", "--model", "mnist", "--from", "work/run", "--latest", "--catalogue", "work/checkpoints"),
)


class ReleaseError(Exception):
    """The release cannot be published; the message has a line for each reason."""


def check_release(folder: Path, tag: str | None = None) -> None:
    """Check what `make dist` built.

    Args:
        folder: It holds one wheel and one source distribution.
        tag: The tag that the release has, if there is one already.

    Raises:
        ReleaseError: Something is wrong with it.
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
    if problems := [*find_problems(_tracked(), in_wheel, in_source), *_unsaid()]:
        raise ReleaseError("\n".join(problems))
    for archive in (wheels[0], sources[0]):
        _try(archive)


def find_problems(tracked: Iterable[str], in_wheel: set[str], in_source: set[str]) -> list[str]:
    """What the archives lack, and what they hold beyond what they should.

    Args:
        tracked: The files of the repository.
        in_wheel: Those of the wheel.
        in_source: Those of the source distribution.
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
    kept = {name for name in in_wheel if ".dist-info/" not in name}
    present = {name.rpartition("/")[2] for name in in_wheel - kept}
    wanted = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"}
    return [
        *(f"wheel: lacks {name}" for name in sorted(expected - kept)),
        *(f"wheel: should not hold {name}" for name in sorted(kept - expected)),
        *(f"wheel: lacks {name} in its .dist-info" for name in sorted(wanted - present)),
        *(f"source distribution: lacks {name}" for name in sorted(expected_source - in_source)),
        *(
            f"source distribution: should not hold {name}"
            for name in sorted(in_source - expected_source - {"PKG-INFO", ".gitignore"})
        ),
    ]


def notes(changelog: str, version: str) -> str:
    """What the changelog says of a version: the text of its section, empty if it has none."""
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    return found[1].strip() if found else ""


def _unsaid() -> list[str]:
    said = notes((ROOT / "CHANGELOG.md").read_text(), __version__)
    return [] if said else [f"CHANGELOG.md: expected a section '## [{__version__}] - DATE', got none"]


def _tracked() -> list[str]:
    return _run(["git", "ls-files"], ROOT).splitlines()


def _try(archive: Path) -> None:
    """Install an archive into an empty environment, of the locked versions, and run it there."""
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        python = home / "bin" / "python"
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, name], ROOT)
        wanted = f"airflow-provider-redraw[{_EXTRAS}] @ {archive.resolve().as_uri()}"
        (home / "wanted.txt").write_text(wanted)
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
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)}: ended with {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout
