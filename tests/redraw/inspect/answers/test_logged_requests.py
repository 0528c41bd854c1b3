"""Logged requests as they are read: in batches, and whatever is in a line."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from redraw.definition import OutsideReference, Signature, TensorSpec
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.logged_requests import LoggedRequests
from redraw.inspect.answers.naming import Naming
from redraw.inspect.answers.record_parts import Problems

_TEXT = TensorSpec("string", (None,))
SIGNATURES = {
    "serving_default": Signature(inputs={"text": _TEXT}, outputs={"topic": _TEXT}),
    "pairs": Signature(
        inputs={"x": TensorSpec("float32", (None, 2))}, outputs={"y": TensorSpec("float32", (None,))}
    ),
    "tokens": Signature(
        inputs={"ids": TensorSpec("int64", (None, None))}, outputs={"y": TensorSpec("float32", (None,))}
    ),
}


def read(path: Path, records: list[Any], rows: int = 256) -> tuple[list[RequestBatch], list[str]]:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    naming, problems = Naming(OutsideReference(), SIGNATURES), Problems()
    found = list(LoggedRequests(path, path.name, naming, ["country"], problems).batches(lambda: rows))
    return found, [*problems.listed(), *naming.notes]


BAD_LINES = {
    "{": "bad.jsonl: line 2: expected a JSON object, got JSONDecodeError",
    "[1]": "bad.jsonl: line 2: expected a JSON object with a request, got another value",
    '{"instances": [1]}': "line 2: input 'text': expected string [None], got 1",
    '{"instances": []}': "line 2: input 'text': expected a value for each row of the request, got 0 rows",
    '{"inputs": {"text": "a"}}': "line 2: input 'text': expected a value for each row of the request, got no",
    '{"inputs": {"word": ["a"], "other": ["b"]}}': "line 2: it has no input 'text', it has 'other', 'word'",
    '{"signature_name": "pairs", "inputs": {"x": [[1.0]]}}': "line 2: input 'x': expected float32 [None, 2],"
    " got values of shape [1, 1]",
    '{"instances": ["a"], "labels": {"topic": ["a", "b"]}}': "line 2: labels of 'topic': expected one for"
    " each of 1 rows, got 2",
    '{"signature_name": "tokens", "inputs": [[9007199254740993, 1.0]]}': "line 2: input 'ids': expected"
    " int64, got float64 values that it cannot hold",
    '{"signature_name": "tokens", "inputs": [[NaN]]}': "line 2: input 'ids': expected int64, got float64",
    '{"signature_name": "tokens", "inputs": [[1e999]]}': "line 2: input 'ids': expected int64, got float64",
    '{"signature_name": "tokens", "inputs": [[18446744073709551615]]}': "expected int64, got uint64 values",
    '{"signature_name": "tokens", "inputs": [['
    + "9" * 5000
    + "]]}": "expected a JSON object, got ValueError",
    '{"instances": [{"b64": "no base64!"}]}': "line 2: input 'text': expected string [None], got {'b64'",
    '{"instances": ["a"], "labels": {"topic": [{"x": 1}]}}': "line 2: label 'topic': expected string",
    "[" * 200_000: "line 2: expected a JSON object, got RecursionError",
    '{"signature_name": "old", "instances": ["a"]}': "bad.jsonl: 1 requests for signature 'old', which the"
    " versions do not have in common",
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_batches_of_a_bad_line_are_those_of_the_others_and_it_is_named(tmp_path: Path, bad: str) -> None:
    good = {"instances": ["a", "bb"]}
    found, said = read(tmp_path / "bad.jsonl", [good, bad, good])
    assert [batch.inputs["text"].tolist() for batch in found] == [[b"a", b"bb"] * 2]
    assert found[0].numbers.tolist() == [1, 1, 3, 3]
    assert len(said) == 1
    assert BAD_LINES[bad] in said[0]
    assert "\n" not in said[0]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_batches_of_a_packed_file_are_none_and_it_is_said(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path, problems = tmp_path / "log.gz", Problems()
    path.write_bytes(pack(b'{"instances": ["a"]}\n' * 99))
    naming = Naming(OutsideReference(), SIGNATURES)
    assert list(LoggedRequests(path, path.name, naming, [], problems).batches(lambda: 256)) == []
    assert problems.listed() == [
        "log.gz: line 1: expected JSON lines or TFRecords, got a file that is packed by gzip or zlib: unpack"
        " it"
    ]


def _log(path: Path, shape: tuple[int, ...], count: int) -> LoggedRequests:
    """Records of a few bytes, each of which declares a tensor of equal values."""
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "tokens"
    request.inputs["ids"].dtype = tf.int64.as_datatype_enum
    request.inputs["ids"].int64_val.append(7)
    for size in shape:
        request.inputs["ids"].tensor_shape.dim.add(size=size)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(count):
            writer.write(log.SerializeToString())
    return LoggedRequests(path, path.name, Naming(OutsideReference(), SIGNATURES), [], Problems())


def test_batches_of_small_records_with_large_tensors_take_bounded_memory(tmp_path: Path) -> None:
    log = _log(tmp_path / "log", (1, 1 << 19), 40)
    tracemalloc.start()
    try:
        rows = sum(batch.rows for batch in log.batches(lambda: 256))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 40
    assert peak < 48 << 20 < 40 * (4 << 20)


def test_batches_of_rows_without_elements_are_bounded_too(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        assert list(_log(tmp_path / "log", (1 << 30, 0), 1).batches(lambda: 256)) == []
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_batches_of_rows_of_other_lengths_have_one_form_each(tmp_path: Path) -> None:
    ids = [[1, 2], [3], [4, 5], [6], [7, 8, 9]]
    found, said = read(tmp_path / "ids.jsonl", [{"signature_name": "tokens", "inputs": [row]} for row in ids])
    assert not said
    assert {batch.inputs["ids"].shape: batch.numbers.tolist() for batch in found} == {
        (2, 2): [1, 3],
        (2, 1): [2, 4],
        (1, 3): [5],
    }


def test_batches_are_of_so_many_rows_whatever_a_line_holds(tmp_path: Path) -> None:
    found, said = read(tmp_path / "rows.jsonl", [{"inputs": [str(n) for n in range(10)]}] * 3, rows=8)
    assert not said
    assert max(batch.rows for batch in found) == 8
    assert (
        np.concatenate([batch.inputs["text"] for batch in found]).tolist()
        == [str(n).encode() for n in range(10)] * 3
    )


def test_batches_keep_fields_and_labels_of_each_row(tmp_path: Path) -> None:
    records: list[Any] = [
        {"inputs": ["a", "b"], "country": "CH", "labels": {"topic": ["x", "y"]}},
        {"inputs": ["c", "d"], "country": ["DE", "FR"], "labels": ["z", "w"]},
        {"inputs": ["e"], "labels": {"topic": "v"}},
        {"inputs": ["f"]},
    ]
    found, said = read(tmp_path / "rows.jsonl", records)
    assert not said
    assert [batch.labels["topic"].tolist() for batch in found if batch.labels] == [
        [b"x", b"y", b"z", b"w", b"v"]
    ]
    assert found[0].fields["country"] == ["CH", "CH", "DE", "FR", None]
    assert [batch.inputs["text"].tolist() for batch in found if not batch.labels] == [[b"f"]]
