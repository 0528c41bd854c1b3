import dataclasses
import json
from typing import Any

import pytest

from redraw.errors import InvalidRecord
from redraw.records import Checkpoint, LivePointer, PointerChange, Release, TensorSpec, TrainingRun

CHECKPOINT = Checkpoint(
    model="mnist",
    uri="gs://checkpoints/mnist/100-abc",
    prefix="weights",
    format="tensor_bundle",
    step=100,
    trained_at="2026-01-02T03:04:05Z",
    digest="ab" * 32,
    size_bytes=10,
    metrics={"accuracy": 0.5},
)


def json_of(record: Any, **changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(record.to_json())) | changes


def test_from_json_own_record_is_the_same() -> None:
    pointer = LivePointer(
        model="m",
        version=2,
        previous=None,
        history=(PointerChange(version=2, changed_at="2026-01-02T03:04:05Z"),),
    )
    assert Checkpoint.from_json(json_of(CHECKPOINT)) == CHECKPOINT
    assert LivePointer.from_json(json_of(pointer)) == pointer


def test_from_json_other_stage_is_refused_by_both_names() -> None:
    with pytest.raises(InvalidRecord, match="expected a TrainingRun record, got 'Checkpoint'"):
        TrainingRun.from_json(json_of(CHECKPOINT))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"step": "100"}, "key 'step': expected a value of type int, got '100'"),
        ({"step": True}, "key 'step': expected a value of type int, got True"),
        ({"step": None}, "key 'step': expected a value of type int, got None"),
        ({"format": "zip"}, "key 'format': expected one of tensor_bundle, .*, got 'zip'"),
        ({"metrics": {"accuracy": "high"}}, "key 'metrics.accuracy': expected a value of type float"),
        ({"metrics": [1]}, "key 'metrics': expected an object"),
    ],
)
def test_from_json_wrong_value_is_refused_by_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRecord, match=message):
        Checkpoint.from_json(json_of(CHECKPOINT, **changes))


def test_from_json_missing_key_is_refused_by_its_name() -> None:
    value = json_of(CHECKPOINT)
    del value["digest"]
    with pytest.raises(InvalidRecord, match="key 'digest' is missing"):
        Checkpoint.from_json(value)


def test_from_json_record_inside_is_checked_too() -> None:
    names = {field.name for field in dataclasses.fields(Release)}
    assert "checkpoint" in names
    value = {"record": "Release", **dict.fromkeys(names, 0), "model": "m", "uri": "u"}
    value |= {"version": 1, "digest": "d" * 64}
    value |= {"signatures": {}, "checkpoint": {"record": "TrainingRun"}}
    with pytest.raises(InvalidRecord, match="expected a Checkpoint record, got 'TrainingRun'"):
        Release.from_json(value)


def test_from_text_damaged_file_is_named() -> None:
    with pytest.raises(InvalidRecord, match="here/record.json"):
        Checkpoint.from_text(b'{"record": "Check', "here/record.json")


def test_tensor_spec_prints_as_signatures_are_written() -> None:
    assert str(TensorSpec("uint8", (None, 28, 28))) == "uint8 [None, 28, 28]"
