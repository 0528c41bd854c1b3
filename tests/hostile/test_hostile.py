"""Every hostile input is refused in one line, within limits of memory and time, and leaves nothing."""

from __future__ import annotations

import json
import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.forks import ForkServer
from tests.hostile.case import Case
from tests.hostile.trial import SECONDS

MODULES = [
    f"tests.hostile.{name}"
    for name in ("archives", "bundles", "hdf5_files", "names", "notes", "records", "rows", "saver_v1_files")
]
CASES: dict[str, Case] = {
    f"{module}::{case.name}": case for module in MODULES for case in import_module(module).CASES
}
# Loaded before the limits are set, for libraries take memory of their own.
LOADED = ["h5py", "google_crc32c", "redraw.checkpoint.formats.archive", "tests.hostile.trial", *MODULES]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, gcs_server: str) -> dict[str, Any]:
    """What came of every case, tried in one process with limits."""
    folder = tmp_path_factory.mktemp("hostile")
    results, root = folder / "results.json", folder / "root"
    root.mkdir()
    server = ForkServer(LOADED, {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parents[2])}, folder)
    try:
        ended = server.start("tests.hostile.trial:run_all", [MODULES, str(root), str(results)], {}).wait(300)
    finally:
        server.close()
    assert ended.status == 0, ended.stderr
    found: dict[str, Any] = json.loads(results.read_text())
    return found


def test_corpus_has_hundreds_of_inputs() -> None:
    assert len(CASES) >= 200


@pytest.mark.parametrize("name", CASES)
def test_try_hostile_input_comes_to_what_is_expected(name: str, outcomes: dict[str, Any]) -> None:
    case, outcome = CASES[name], outcomes[name]
    assert outcome["error"] in case.expected.split("|"), outcome["message"]
    assert re.search(case.says, outcome["message"])
    assert outcome["message"].isprintable()
    assert len(outcome["message"]) < 2000
    assert outcome["seconds"] < SECONDS
    assert outcome["left"] == []
