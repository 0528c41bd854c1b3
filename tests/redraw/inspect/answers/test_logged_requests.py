"""Logged requests as they are read: in batches, and whatever is in a line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import dtypes
from tensorflow_serving.apis import prediction_log_pb2

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.encoding import mask_crc32c
from redraw.definition import OutsideReference, Signature, TensorSpec
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.logged_requests import LoggedRequests
from redraw.inspect.answers.naming import Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.serving.tensor_proto import read_tensor_proto
from redraw.serving.values import encode_values

_TEXT = TensorSpec("string", (None,))
SIGNATURES = {
    "serving_default": Signature(inputs={"text": _TEXT}, outputs={"topic": _TEXT}),
    "pairs": Signature(
        inputs={"x": TensorSpec("float32", (None, 2))}, outputs={"y": TensorSpec("float32", (None,))}
    ),
    "tokens": Signature(
        inputs={"ids": TensorSpec("int64", (None, None))}, outputs={"y": TensorSpec("float32", (None,))}
    ),
    "places": Signature(
        inputs={"word": _TEXT, "at": TensorSpec("string", (None, 2))},
        outputs={f"y{number}": TensorSpec("float32", (None,)) for number in range(5)},
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
    '{"inputs": {"text": "a"}}': "line 2: input 'text': expected a value for each row of the request, got"
    " a value that is not a list",
    '{"inputs": {"word": ["a"], "other": ["b"]}}': "line 2: the reference has no input for 'text', only",
    '{"signature_name": "pairs", "inputs": {"x": [[1.0]]}}': "line 2: input 'x': expected float32 [None, 2],"
    " got values of shape [1, 1]",
    '{"instances": ["a"], "labels": {"topic": ["a", "b"]}}': "line 2: labels of 'topic': expected one label"
    " for each of 1 rows, got 2",
    '{"signature_name": "tokens", "inputs": [[9007199254740993, 1.0]]}': "line 2: input 'ids': expected"
    " int64, got float64 values that int64 cannot hold",
    '{"signature_name": "tokens", "inputs": [[NaN]]}': "line 2: input 'ids': expected int64, got float64",
    '{"signature_name": "tokens", "inputs": [[1e999]]}': "line 2: input 'ids': expected int64, got float64",
    '{"signature_name": "tokens", "inputs": [[18446744073709551615]]}': "expected int64, got uint64 values",
    '{"signature_name": "tokens", "inputs": [['
    + "9" * 5000
    + "]]}": "expected a JSON object, got ValueError",
    '{"instances": [{"b64": "no base64!"}]}': "line 2: input 'text': expected string [None], got {'b64'",
    '{"instances": ["a"], "labels": {"topic": [{"x": 1}]}}': "line 2: label 'topic': expected string",
    "[" * 200_000: "line 2: expected a JSON object, got RecursionError",
    '{"instances": ["a"], "labels": {"topic": [1, 2]}}': "line 2: labels of 'topic': expected one label",
    '{"instances": ["a"], "labels": {"word": ["a"]}}': "labels: expected names of outputs, got 'word'",
    '{"signature_name": "pairs", "inputs": [[1, 2]], "labels": ["a"]}': "label 'y': expected numbers, got 'a",
    '{"signature_name": "pairs", "inputs": [[1, 2], [3, 4]], "labels": [[1], [2, 3]]}': "line 2: label 'y':"
    " expected values of the same shape, got lists of different lengths",
    '{"signature_name": "tokens", "inputs": [1]}': "line 2: input 'ids': expected int64 [None, None], got"
    " values of shape [1]",
    '{"signature_name": "places", "inputs": {"word": ["a", "b"], "at": [["c", "d"]]}}': "line 2: input 'at':"
    " expected a value for each row of the request, got 1 rows",
    '{"signature_name": 7, "instances": ["a"]}': "line 2: signature_name: expected a text, got 7",
    '{"signature_name": "pairs", "inputs": [[1, 2]], "labels": [[0.5, '
    + "9" * 400
    + "]]}": "line 2: label 'y': expected numbers, got [0.5, 999",
    '{"signature_name": "tokens", "inputs": [[' + "9" * 400 + "]]}": "line 2: input 'ids': expected int64",
    '{"signature_name": "old", "instances": ["a"]}': "bad.jsonl: 1 requests for signature 'old', which not"
    " both versions have",
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


GOOD = b'{"instances": ["a"]}\n'


def read_bytes(path: Path, content: bytes) -> tuple[list[RequestBatch], list[str]]:
    path.write_bytes(content)
    naming, problems = Naming(OutsideReference(), SIGNATURES), Problems()
    found = list(LoggedRequests(path, path.name, naming, [], problems).batches(lambda: 256))
    return found, problems.listed()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (gzip.compress(GOOD * 99), "a file that is compressed with gzip or zlib. Decompress the file"),
        *(
            (
                zlib.compress(GOOD * 99, level),
                "a file that is compressed with gzip or zlib. Decompress the file",
            )
            for level in (1, 6, 9)
        ),
        (b"PK\x03\x04", "a file that is compressed with zip. Decompress the file"),
        (bz2.compress(GOOD * 99), "a file that is compressed with bzip2. Decompress the file"),
        (lzma.compress(GOOD * 99), "a file that is compressed with xz. Decompress the file"),
        (b"\x28\xb5\x2f\xfd\0", "a file that is compressed with zstandard. Decompress the file"),
        (b"\x14" + bytes(7) + b"crc?" + bytes(20), "damaged or other data"),
        (GOOD.decode().encode("utf-16"), "damaged or other data"),
    ],
    ids=["gzip", "zlib-1", "zlib-6", "zlib-9", "zip", "bzip2", "xz", "zstandard", "length", "utf-16"],
)
def test_batches_of_a_file_of_another_kind_are_none_and_it_is_said(
    content: bytes, got: str, tmp_path: Path
) -> None:
    found = read_bytes(tmp_path / "log.gz", content)
    assert found == ([], [f"log.gz: line 1: expected JSON lines or TFRecords, got {got}"])


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n", codecs.BOM_UTF8], ids=["empty", "blank", "bom"])
def test_batches_of_a_file_without_requests_are_none_and_it_is_said(content: bytes, tmp_path: Path) -> None:
    found = read_bytes(tmp_path / "log", content)
    assert found == ([], ["log: expected requests, got an empty file"])


def test_batches_number_lines_with_the_blank_ones_and_go_on_after_a_huge_one(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        file.write(codecs.BOM_UTF8 + b"\n\r\n" + GOOD + b"\n{\n")
        file.writelines([b'{"instances": ["', *[b"a" * (1 << 20)] * 100, b'"]}\n', GOOD])
    naming, problems = Naming(OutsideReference(), SIGNATURES), Problems()
    log = LoggedRequests(tmp_path / "log", "log", naming, [], problems)
    tracemalloc.start()
    try:
        (found,) = log.batches(lambda: 256)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.numbers.tolist() == [3, 7]
    assert peak < 160 << 20
    assert [text.partition(", got")[0] for text in problems.listed()] == [
        "log: line 5: expected a JSON object",
        "log: line 6: expected a line of at most 67108864 bytes",
    ]


def _predicted(signature: str, model: str, tensor: Any) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = model
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs["text"].CopyFrom(tf.make_tensor_proto(tensor))
    return bytes(log.SerializeToString())


def test_batches_of_tf_records_go_on_as_far_as_they_are_whole(tmp_path: Path) -> None:
    """Of another signature or kind, too long, or empty; then one whose checksum is wrong."""
    path, good = tmp_path / "log", _predicted("serving_default", "ours", ["a"])
    other = prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.name = "ours"
    records = [
        good,
        _predicted("old", "ours", ["b"]),
        other.SerializeToString(),
        b"a" * ((64 << 20) + 1),
        b"",
    ]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in [*records, _predicted("serving_default", "theirs", ["c"]), good]:
            writer.write(record)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    naming, problems = Naming(OutsideReference(), SIGNATURES), Problems()
    log = LoggedRequests(path, "log", naming, ["model"], problems)
    (found,) = log.batches(lambda: 256)
    assert found.inputs["text"].tolist() == [b"a", b"c"]
    assert (found.numbers.tolist(), found.fields["model"]) == ([1, 6], ["ours", "theirs"])
    assert log.models == {"ours": 1, "theirs": 1}
    assert [text.partition(", got")[0] for text in problems.listed()] == [
        "log: record 3: expected a predict_log",
        "log: record 4: expected a record of at most 67108864 bytes",
        "log: record 5: expected a predict_log",
        f"log: after 6 intact records: expected a record with checksum {_crc(good, 1):#010x}",
    ]
    assert "1 requests for signature 'old'" in next(iter(naming.notes))


def _crc(record: bytes, flipped: int) -> int:
    """The checksum that stands in the file, with a bit of its highest byte flipped."""
    return mask_crc32c(google_crc32c.value(record)) ^ flipped << 24


@pytest.mark.parametrize("left", [5, 12, 20, -2])
def test_batches_of_truncated_tf_records_are_those_that_are_whole(left: int, tmp_path: Path) -> None:
    path, good = tmp_path / "log", _predicted("serving_default", "ours", ["a"])
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(good)
        writer.write(good)
    whole = len(good) + 16
    found, said = read_bytes(path, path.read_bytes()[: whole + (left if left > 0 else whole + left)])
    assert [batch.rows for batch in found] == [1]
    assert len(said) == 1
    assert said[0].startswith("log: after 1 intact records: expected")


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "uint64", "uint32", "int8", "bool"]
)
@pytest.mark.parametrize("written", ["content", "values", "one value", "no value"])
def test_read_tensor_proto_takes_every_dtype_however_it_is_written(dtype: str, written: str) -> None:
    tf_dtype, values = getattr(dtypes, dtype), np.array([1, 0, 1])
    tensor = tf.make_tensor_proto(values.astype(numpy_dtype(dtype)), tf_dtype)
    tensor.tensor_content = values.astype(numpy_dtype(dtype)).tobytes() if written == "content" else b""
    few = {"content": [], "values": values, "one value": [1], "no value": []}[written]
    for field, _ in tensor.ListFields():
        if field.name.endswith("_val"):
            tensor.ClearField(field.name)
    _write(tensor, dtype, np.array(few).astype(numpy_dtype(dtype)))
    read = read_tensor_proto(tensor.SerializeToString(), 3)
    expected = {"one value": [1, 1, 1], "no value": [0, 0, 0]}.get(written, [1, 0, 1])
    assert read.dtype == numpy_dtype(dtype)
    assert encode_values(read) == expected
    assert all(isinstance(value, int) for value in encode_values(read)) or "float" in dtype


def _write(tensor: Any, dtype: str, values: np.ndarray) -> None:
    if dtype == "bfloat16":
        tensor.half_val.extend(values.view(np.uint16).tolist())
    elif dtype.startswith("float8"):
        tensor.float8_val = values.tobytes()
    else:
        wide = {"uint64", "uint32", "bool"} & {dtype}
        getattr(tensor, f"{dtype}_val" if wide else "int_val").extend(values.tolist())


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
    ids = [[[1, 2]], [[3]], [[4, 5], [0, 0]], [[6]], [[7, 8, 9]]]
    found, said = read(tmp_path / "ids.jsonl", [{"signature_name": "tokens", "inputs": rows} for rows in ids])
    assert not said
    assert {batch.inputs["ids"].shape: batch.numbers.tolist() for batch in found} == {
        (3, 2): [1, 3, 3],
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
        {"inputs": ["e"], "labels": {"topic": "v"}, "country": ["CH", "DE"]},
        {"inputs": ["f"]},
    ]
    found, said = read(tmp_path / "rows.jsonl", records)
    assert not said
    assert [batch.labels["topic"].tolist() for batch in found if batch.labels] == [
        [b"x", b"y", b"z", b"w", b"v"]
    ]
    # A list of other length is the value of each row.
    assert found[0].fields["country"] == ["CH", "CH", "DE", "FR", ["CH", "DE"]]
    assert found[1].fields["country"] == [None]
    assert [batch.inputs["text"].tolist() for batch in found if not batch.labels] == [[b"f"]]


def test_batches_leave_out_signatures_that_are_not_compared_and_say_so_not_without_end(
    tmp_path: Path,
) -> None:
    names = ["z", *(f"old-{number:02}" for number in range(16)), "old-00", "old-99", "z"]
    found, said = read(
        tmp_path / "log", [{"signature_name": name, "inputs": ["a"]} for name in names] + [{"inputs": ["b"]}]
    )
    assert [batch.inputs["text"].tolist() for batch in found] == [[b"b"]]
    assert [text.removesuffix(", which not both versions have") for text in said] == [
        f"log: {2 if number == 0 else 1} requests for signature 'old-{number:02}'" for number in range(8)
    ]


def test_batches_of_more_forms_than_may_wait_begin_with_the_oldest(tmp_path: Path) -> None:
    """A form of rows is a signature with the outputs that have labels, of which there are 32 here."""
    forms = [{f"y{bit}": [1.0] for bit in range(5) if number >> bit & 1} for number in range(17)]
    records = [
        {"signature_name": "places", "inputs": {"word": ["a"], "at": [["b", "c"]]}, "labels": labels}
        for labels in [*forms, forms[1], forms[0]]
    ]
    found, said = read(tmp_path / "log", records)
    assert not said
    assert [batch.numbers.tolist() for batch in found] == [
        [1],
        [2, 18],
        *([number] for number in range(3, 18)),
        [19],
    ]
    assert [{*batch.labels} for batch in found] == [*({*labels} for labels in forms), set()]


def test_models_of_records_are_counted_not_without_end_and_fields_of_lines_are_none(tmp_path: Path) -> None:
    names = [*(f"model-{number}" for number in range(16)), "model-3", "more", "and-more", ""]
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        for name in names:
            writer.write(_predicted("", name, ["a"]))  # no name of a signature: the default one
    (tmp_path / "lines").write_text('{"instances": ["a"], "model": "ours"}\n')
    counted = []
    for name in ("log", "lines"):
        log = LoggedRequests(tmp_path / name, name, Naming(OutsideReference(), SIGNATURES), [], Problems())
        rows = sum(batch.rows for batch in log.batches(lambda: 256))
        counted.append((rows, dict(log.models)))
    expected = {**dict.fromkeys(names[:16], 1), "model-3": 2, "…": 2}
    assert counted == [(20, expected), (1, {})]


def test_batches_of_records_stack_texts_of_any_rank(tmp_path: Path) -> None:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "places"
    log.predict_log.request.inputs["word"].CopyFrom(tf.make_tensor_proto(["a", "b"]))
    log.predict_log.request.inputs["at"].CopyFrom(tf.make_tensor_proto([["c", "d"], ["e", "f"]]))
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        writer.write(log.SerializeToString())
    (batch,) = read_bytes(tmp_path / "log", (tmp_path / "log").read_bytes())[0]
    assert batch.inputs["word"].tolist() == [b"a", b"b"]
    assert batch.inputs["at"].tolist() == [[b"c", b"d"], [b"e", b"f"]]


def test_batches_of_lines_with_marks_of_other_files_are_read(tmp_path: Path) -> None:
    """Files put together: the mark of the second stands in the middle."""
    found, said = read_bytes(tmp_path / "log", GOOD + codecs.BOM_UTF8 + GOOD)
    assert (found[0].numbers.tolist(), said) == ([1, 2], [])
