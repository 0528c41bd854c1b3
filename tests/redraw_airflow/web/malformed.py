"""What a worker, a bucket or another release can put where a record is expected."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from redraw.records import PointerChange, Record, TrainingRun
from tests.redraw_airflow.web.publications import EXPORTED, pointer_record, release_record, version_of

__all__ = ["MALFORMED", "NO_RECORDS", "malformed_runs"]

_MARKER = "redraw-was-here"
# What no field expects, or only just.
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**70,
    1e400,
    1.5,
    "",
    "\x1b[2J",
    "<script>alert(1)</script>",
    "\u202e",
    [],
    {},
    [[]],
    "9999-99-99T99:99:99Z",
    "-",
    "../../etc/passwd",
    5000 * "a",
)


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# XComs that Airflow itself would read as objects, that are too large or too deep, or that say something else.
NO_RECORDS: tuple[Any, ...] = (
    {"__classname__": "subprocess.Popen", "__version__": 1, "__data__": ["touch", _MARKER]},
    {"__classname__": "airflow.sdk.definitions.asset.Asset", "__version__": 1, "__data__": {"name": _MARKER}},
    {"__type": "dict", "__var": {"record": "Release"}},
    {"record": "Release", "__classname__": "builtins.dict", "__version__": 1, "__data__": {}},
    {"record": ["Release"]},
    {"record": "Release"},
    {"record": "Record"},
    {"record": "Release", "model": _deep(400)},
    {"record": "Release", "model": 2_100_000 * "a"},
    # As Airflow's own way of writing an XCom stores it: JSON in a text, in which it looks for classes.
    '{"__classname__": "subprocess.Popen", "__version__": 1, "__data__": ["touch", "redraw-was-here"]}',
    '{"record": "Release", "model": {"__classname__": "airflow.sdk.definitions.asset.Asset"}}',
    "{",
    '{"record": "Release"}',
    "{not json",
    1,
    None,
    [],
    1e400,
)


def _malformed(record: Record) -> Iterator[Any]:
    """The record's JSON with each of its leaves and containers replaced, one at a time, or left out."""
    value = record.to_json()
    for number, (*folders, last) in enumerate(_paths(value)):
        changed = copy.deepcopy(value)
        place = changed
        for part in folders:
            place = place[part]
        place[last] = VALUES[number % len(VALUES)]
        yield copy.deepcopy(changed)
        if isinstance(place, dict) and number % 3 == 0:
            del place[last]
            yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    for key, inner in items:
        if (*path, key) != ("record",):
            yield (*path, key)
        yield from _paths(inner, (*path, key))


_RELEASE = release_record("mnist")
_CHANGE = PointerChange(
    version=version_of(1), changed_at="2026-02-01T00:00:00Z", by="ada", reason="better", kind="rollback"
)
_RECORDS: tuple[Record, ...] = (
    _RELEASE,
    _RELEASE.report,
    _RELEASE.checkpoint,
    EXPORTED,
    pointer_record("mnist", 1, _CHANGE),
    TrainingRun(model="mnist", uri="gs://work/a", run="r", step=1, metrics={"loss": 1.0}),
)
# By kind.
MALFORMED = {type(record).__name__: tuple(_malformed(record)) for record in _RECORDS}


def malformed_runs() -> Iterator[dict[str, Any]]:
    """A run of each kind, with a task for each of these; and one of what is no record, and a good one."""
    for name, values in {**MALFORMED, "others": (*NO_RECORDS, _RELEASE.to_json())}.items():
        tasks = [
            {"task_id": f"task-{number}", "state": "success", "xcoms": {"return_value": value}}
            for number, value in enumerate(values)
        ]
        yield {"dag_id": "of_others", "run_id": f"malformed-{name}", "state": "success", "tasks": tasks}
