"""The locks of the two interpreters and the one that has it all are of one making."""

from __future__ import annotations

import re

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
