"""Every parser against inputs that are damaged at random, the same way each time.

`make fuzz` goes on for longer: REDRAW_FUZZ_CASES inputs a parser, drawn from REDRAW_FUZZ_SEED.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import ForkServer
from tests.hostile.fuzzing import SECONDS, TARGETS

CASES = int(os.environ.get("REDRAW_FUZZ_CASES", "150"))
SEED = int(os.environ.get("REDRAW_FUZZ_SEED", "0"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Forks processes that have imported every parser."""
    folder = tmp_path_factory.mktemp("fuzz")
    environment = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parents[2])}
    server = ForkServer(["tests.hostile.fuzzing", "redraw.checkpoint.formats.archive"], environment, folder)
    yield server
    server.close()


@pytest.mark.parametrize("name", TARGETS)
def test_parse_damaged_input_is_right_or_refused(name: str, server: ForkServer, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    (tmp_path / "root").mkdir()
    arguments = [name, CASES, SEED, str(tmp_path / "root"), str(results)]
    ended = server.start(
        "tests.hostile.fuzzing:run_target", arguments, {"REDRAW_SCRATCH": str(tmp_path)}
    ).wait(60 + CASES * SECONDS)
    # A parser that dies leaves no result, and its last input in the folder.
    assert ended.status == 0, (results.read_text() if results.exists() else "") + ended.stderr[-2000:]
    # That nothing is refused would mean that nothing was damaged.
    assert json.loads(results.read_text())["refused"] > CASES // 20 or not TARGETS[name].refuses
