"""A reader that follows TensorFlow Serving's rules never loads an incomplete model.

`REDRAW_READER_PUSHES` sets how many pushes, killed ones included, it is put through.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.publishing.exports import Export, describe_export
from tests.publishing.faults import Moment
from tests.publishing.kills import Killer
from tests.publishing.tiny_model import OUTPUT, save_tiny_model, write_revision

_PUSHES = int(os.environ.get("REDRAW_READER_PUSHES", "60"))
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_LAST_REQUEST = 25
# How many of those that were killed are never run again: what is there of them stays.
_GIVEN_UP = 0.3


@dataclass(frozen=True)
class Reader:
    """A reader that runs, and the file it writes down what it sees in."""

    process: subprocess.Popen[bytes]
    log: Path

    def seen(self) -> list[dict[str, Any]]:
        """What it saw so far."""
        return [
            json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line[-1] == "\n"
        ]

    def loaded(self) -> dict[int, list[float]]:
        """What each version answered that it loaded."""
        return {seen["version"]: seen["answer"] for seen in self.seen() if "answer" in seen}


@pytest.fixture
def reader(gcs_server: str, bucket: str, tmp_path: Path) -> Iterator[Reader]:
    """A reader of the model `digits` in the bucket."""
    log = tmp_path / "reader.log"
    arguments = (gcs_server, f"{bucket}/digits", "0.01", OUTPUT)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.publishing.reader", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            cwd=ROOT,
        )
    assert process.stdin is not None
    with process:
        yield Reader(process, log)
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SavedModel of TensorFlow's own."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_tiny_model(folder)
    return folder


def _export(source: Path, folder: Path, number: int) -> tuple[int, Export]:
    """The export of a number, whose weights all are that number, and the version it will be."""
    trained_at = _FIRST + timedelta(seconds=number)
    write_revision(source, folder, number)
    return int(f"{trained_at:%Y%m%d%H%M%S}00"), describe_export(folder, f"{trained_at:%Y-%m-%dT%H:%M:%SZ}")


def _push_and_kill(killer: Killer, chance: random.Random, arguments: list[str]) -> tuple[int, bool]:
    """Push an export, and be killed at any request, a few times; how often, and whether it got through."""
    times, alive = chance.randint(1, 4), False
    for _ in range(times):
        number, moment = chance.randint(1, _LAST_REQUEST), chance.choice(list(Moment))
        alive = not killer.kill_at(number, moment, arguments)
    if alive or chance.random() < _GIVEN_UP:
        return times, alive
    assert killer.run(arguments).status == 0
    return times + 1, True


def test_read_through_pushes_and_kills_loads_only_whole_models(
    reader: Reader,
    killer: Killer,
    bucket: str,
    tiny_model: Path,
    tmp_path: Path,
    until: Callable[..., None],
) -> None:
    chance = random.Random(20261122)  # noqa: S311 - no secret hangs on it
    killer.proxy.latency = 0.002
    answers: dict[int, list[float]] = {}
    pushes = given_up = 0
    while pushes < _PUSHES:
        number = len(answers) + 1
        version, export = _export(tiny_model, tmp_path / f"{number}", number)
        answers[version] = [number, number]
        times, published = _push_and_kill(killer, chance, export.push_arguments(bucket))
        pushes += times
        given_up += not published
        if published:
            until(lambda version=version: version in reader.loaded(), f"version {version} at the reader")
    assert [seen for seen in reader.seen() if "failed" in seen] == []
    loaded = reader.loaded()
    assert loaded == {version: answers[version] for version in loaded}
    assert given_up
    assert any("absent" in seen and seen["version"] for seen in reader.seen()), "it met no half version"
