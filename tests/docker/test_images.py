"""What can be said of the Dockerfiles without a Docker engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

FILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
_COPY = re.compile(r"^COPY ((?:--\S+ )*)(.+) \S+$", re.MULTILINE)


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program is not None
    return subprocess.run([program, str(path)], capture_output=True, text=True, timeout=60)


def test_lint_finds_nothing(dockerfile: Path) -> None:
    done = hadolint(dockerfile)

    assert (done.returncode, done.stdout) == (0, "")


def test_lint_of_a_base_without_a_version_complains(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python\n")

    assert "DL3006" in hadolint(bad).stdout


def test_copy_takes_what_is_there_and_reaches_the_build(dockerfile: Path) -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    # Everything is left out but what is named.
    assert patterns[1] == "*"
    reaching = {pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")}
    from_here = [sources for flags, sources in _COPY.findall(dockerfile.read_text()) if "--from" not in flags]
    copied = {source for sources in from_here for source in sources.split()}

    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert copied - reaching == set()


def test_base_has_a_version_and_can_be_pinned_by_digest(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE))

    # Each is an argument, so that a digest can be given, or an earlier stage.
    assert {base for base in bases if base not in stages} == {f"${{{name}}}" for name in arguments}
    assert all(re.fullmatch(r"[a-z/]+:\d[\w.-]+", image) for image in arguments.values())


def test_user_of_every_stage_that_is_left_is_not_root(dockerfile: Path) -> None:
    stages = re.split(r"^FROM ", dockerfile.read_text(), flags=re.MULTILINE)[1:]
    users = [re.findall(r"^USER (\S+)", stage, re.MULTILINE) for stage in stages]
    bases = [stage.split()[0] for stage in stages]
    last = [named[-1] for named in users if named]

    assert last
    assert all(user.startswith("50000") for user in last)
    # The last stage says it itself, or is made of one that does.
    assert users[-1] or bases[-1] == "airflow"
