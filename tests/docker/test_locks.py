"""The locks of the two interpreters and the one that has it all are of one making."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT

_PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE)
_COMMAND = re.compile(r"uv pip compile .*")


def pins(lock: str) -> set[tuple[str, str]]:
    return {(name, version) for name, version, _ in _PIN.findall((ROOT / lock).read_text())}


@pytest.mark.parametrize("side", ["airflow", "tensorflow"])
def test_lock_of_a_side_has_the_versions_of_the_whole(side: str) -> None:
    ours = pins(f"requirements-{side}.txt")

    assert ours - pins("requirements.txt") == set()
    assert {name for name, _ in ours} & {"apache-airflow", "tensorflow"} == {
        {"airflow": "apache-airflow", "tensorflow": "tensorflow"}[side]
    }


def test_lock_of_the_whole_has_both_sides() -> None:
    sides = pins("requirements-airflow.txt") | pins("requirements-tensorflow.txt")

    only = {name for name, _ in pins("requirements.txt") - sides}

    assert only == set()


@pytest.mark.parametrize("lock", sorted(path.stem for path in ROOT.glob("requirements*.in")))
def test_lock_was_made_by_the_command_that_its_source_names(lock: str) -> None:
    named, made = (_COMMAND.findall((ROOT / f"{lock}{suffix}").read_text())[0] for suffix in (".in", ".txt"))

    assert made == named


def check_locks(*files: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(ROOT / ".ci" / "locks"), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_every_entry_of_every_lock_names_its_files_by_hash() -> None:
    done = check_locks()

    assert (done.returncode, done.stderr) == (0, "")


_HASH = "    --hash=sha256:" + 64 * "0"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", 0),
        (f"a==1 \\\n{_HASH}\nb==2\n", 3),
        (f"a==1\nb==2 \\\n{_HASH}\n", 1),
        (f"a==1 \\\n{_HASH[:-1]}\n", 2),
        ("a==1 \\\n    --hash=md5:0123\n", 2),
        (f"a>=1 \\\n{_HASH}\n", 1),
        (f"a @ https://example.org/a.whl \\\n{_HASH}\n", 1),
        (f"-e .\na==1 \\\n{_HASH}\n", 1),
        (f"a==1 \\\n{_HASH}\n--extra-index-url https://example.org\n", 3),
    ],
)
def test_lock_with_an_entry_that_is_not_named_by_hash_fails(content: str, line: int, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text(f"# a comment\na==1 ; sys_platform == 'linux' \\\n{_HASH} \\\n{_HASH}\n    # via b\n")
    bad.write_text(content)

    assert check_locks(good).returncode == 0
    done = check_locks(*([good] if line else []), bad)

    assert done.returncode == 1
    assert not line or f"{bad}:{line}: expected" in done.stderr


def test_lint_checks_the_locks_and_ci_lints() -> None:
    plan = ["make", "--dry-run", "--old-file=.venv/.made-from-the-locks", "test"]
    done = subprocess.run(plan, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert "sh .ci/locks" in done.stdout
    assert re.search(r"^make test ", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


_INSTALLS = re.compile(r"\bpip (?:install|sync)\b(?:\\\n|[^\n&])*")


@pytest.mark.parametrize("name", [".ci/setup", "docker/Dockerfile.airflow", "docker/Dockerfile.tensorflow"])
def test_every_installation_checks_hashes_and_builds_nothing(name: str) -> None:
    text = re.sub(r"(?m)^ *#.*$", "", (ROOT / name).read_text())
    commands = [command for command in _INSTALLS.findall(text) if "--editable" not in command]

    assert len(commands) >= 2
    for command in commands:
        assert "--require-hashes" in command
        assert "--only-binary :all:" in command
        # What has no wheel is named, and built by what is locked.
        assert "--no-binary" not in command or "--build-constraints" in command


def test_setup_lock_has_the_installers_themselves() -> None:
    assert {name for name, _ in pins("requirements-setup.txt")} == {"pip", "uv"}
