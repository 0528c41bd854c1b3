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


def _of(*modules: str) -> pytest.MarkDecorator:
    """The cases of some modules, by name."""
    return pytest.mark.parametrize("name", [name for name in CASES if name.split("::")[0][14:] in modules])


def _demand_expected(name: str, outcomes: dict[str, Any]) -> None:
    case, outcome = CASES[name], outcomes[name]
    assert outcome["error"] in case.expected.split("|"), outcome["message"]
    assert re.search(case.says, outcome["message"])
    assert outcome["message"].isprintable()
    assert len(outcome["message"]) < 2000
    assert outcome["seconds"] < SECONDS
    assert outcome["left"] == []


def test_corpus_has_hundreds_of_inputs() -> None:
    assert len(CASES) >= 200


@_of("archives", "bundles", "hdf5_files", "saver_v1_files")
def test_read_hostile_checkpoint_is_refused_within_limits(name: str, outcomes: dict[str, Any]) -> None:
    _demand_expected(name, outcomes)


@_of("notes")
def test_read_hostile_notes_next_to_weights_is_refused_or_passes_over(
    name: str, outcomes: dict[str, Any]
) -> None:
    _demand_expected(name, outcomes)


@_of("names")
def test_use_hostile_name_leads_nowhere(name: str, outcomes: dict[str, Any]) -> None:
    _demand_expected(name, outcomes)


@_of("records")
def test_read_hostile_record_is_refused_in_one_line(name: str, outcomes: dict[str, Any]) -> None:
    _demand_expected(name, outcomes)


@_of("rows")
def test_list_next_to_bad_record_has_one_bad_row(name: str, outcomes: dict[str, Any]) -> None:
    _demand_expected(name, outcomes)
