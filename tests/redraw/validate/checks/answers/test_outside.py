"""The check `reference-answers`, with references of every kind and of every fault."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from redraw.definition import OutsideReference, RecordedDefinition, Signature, TensorSpec
from redraw.errors import InvalidDefinition
from redraw.inspect.answers.naming import Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.answers.recorded_requests import merge_exchanges, read_exchanges
from redraw.records import Check
from redraw.serving import LoadedModel, ServingProcess
from redraw.storage.opening import open_storage
from redraw.uri import Uri
from redraw.validate.checks.answers.outside import check_reference_answers
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.subject import Subject
from tests.redraw.recorded.old_graphs import Case, record

SubjectOf = Callable[..., Subject]
Compare = Callable[..., Check]
WEIGHT = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def loaded(serving: ServingProcess, behaviours: Path) -> Iterator[LoadedModel]:
    """The export, loaded once."""
    with closing(serving.load(behaviours)) as model:
        yield model


@pytest.fixture
def compare(subject_of: SubjectOf, loaded: LoadedModel) -> Compare:
    """Compares behaviours, `good` by default, with a reference."""

    def compared(uri: Path | str, *names: str, **named: Any) -> Check:
        subject = subject_of(*(names or ("good",)))
        outputs = {
            "good": {"y": TensorSpec("float32", (None, 4))},
            "lengths": {"y": TensorSpec("int32", (None,))},
        }
        subject.definition.signatures = {  # type: ignore[misc]
            name: replace(one, outputs=outputs.get(name, one.outputs))
            for name, one in subject.definition.signatures.items()
        }
        subject.definition.reference = OutsideReference(uri=str(uri), **named)  # type: ignore[misc]
        subject.__dict__["_loaded"] = (loaded, {})
        try:
            return check_reference_answers(subject)
        finally:
            del subject.__dict__["_loaded"]  # which closing the subject would close

    return compared


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records))
    return path


def logged(path: Path, records: Iterable[tuple[str, dict[str, np.ndarray], dict[str, np.ndarray]]]) -> Path:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs, outputs in records:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = signature
            for name, value in inputs.items():
                log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            for name, value in outputs.items():
                log.predict_log.response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
    return path


def saved(folder: Path, serve: Callable[[tf.Tensor], dict[str, tf.Tensor]], spec: tf.TensorSpec) -> Path:
    module = tf.Module()
    function = tf.function(serve).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


def test_check_without_a_reference_is_not_run_and_does_not_block(subject_of: SubjectOf) -> None:
    with pytest.raises(CannotRun, match="names no outside reference") as caught:
        check_reference_answers(subject_of("good"))
    assert caught.value.excused


def test_check_against_the_same_model_passes_and_says_how_much_was_compared(
    compare: Compare, behaviours: Path
) -> None:
    check = compare(behaviours, "good", "lengths")
    assert check.status == "passed", check.found
    assert "5 rows of 'good', 3 rows of 'lengths'" in check.found
    assert f"the answers to 8 rows, and those of the SavedModel {behaviours}" in check.looked_at


def test_check_against_an_old_model_names_rows_outputs_and_differences(
    compare: Compare, tmp_path: Path
) -> None:
    """Another constant only for negative values: two of five golden rows have some."""

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.where(x < 0, x * 2 * WEIGHT, x * WEIGHT)}

    old = saved(tmp_path / "old", serve, tf.TensorSpec([None, 4], tf.float32, name="x"))
    check = compare(old)
    assert check.status == "failed"
    assert (
        "signature 'good', output 'y': 2 of 5 rows differ by up to 4.84 (golden row 0: -4.84211 instead of"
        " -9.68421): golden row 0, golden row 1" in check.found
    )


@pytest.mark.parametrize("named", [{}, {"outputs": {"y": "scores"}, "inputs": {"x": "features"}}])
def test_check_against_other_names_dtypes_and_a_fixed_batch_compares_values(
    named: dict[str, Any], compare: Compare, tmp_path: Path
) -> None:
    def serve(features: tf.Tensor) -> dict[str, tf.Tensor]:
        extra = {"logits": features} if named else {}
        return {"scores": features * tf.cast(WEIGHT, tf.float64), **extra}

    check = compare(
        saved(tmp_path / "old", serve, tf.TensorSpec([2, 4], tf.float64, name="features")), **named
    )
    assert check.status == "passed", check.found
    assert "output 'y' is float64 in the reference, float32 in the export" in check.found
    assert ("the reference's output 'logits' is left out" in check.found) == bool(named)


@pytest.mark.parametrize(
    ("spec", "named", "message"),
    [
        (
            tf.TensorSpec([None], tf.string, name="x"),
            {},
            "input 'x' is string in the reference, and float32 in the export",
        ),
        (tf.TensorSpec([None, 3], tf.float32, name="x"), {}, "INVALID_ARGUMENT"),
        (
            tf.TensorSpec([None, 4], tf.float32, name="x"),
            {"signatures": {"good": "old"}},
            "has no signature 'old', only",
        ),
        (
            tf.TensorSpec([None, 4], tf.float32, name="x"),
            {"outputs": {"y": "z"}},
            "none of the reference's outputs 'y'",
        ),
        (
            tf.TensorSpec([None, 4], tf.float32, name="x"),
            {"inputs": {"x": "z"}},
            "no input for 'x', only 'x'",
        ),
    ],
)
def test_check_against_a_model_that_does_not_fit_says_why(
    spec: tf.TensorSpec, named: dict[str, Any], message: str, compare: Compare, tmp_path: Path
) -> None:
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.strings.to_number(x) if x.dtype == tf.string else tf.ensure_shape(x, spec.shape) + 1}

    check = compare(saved(tmp_path / "old", serve, spec), **named)
    assert check.status == "failed"
    assert message in check.found
    assert "\n" not in check.found


def test_check_does_not_load_a_model_with_operations_that_touch_files(
    compare: Compare, tmp_path: Path
) -> None:
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.io.write_file(str(tmp_path / "written"), "gone")
        return {"y": x}

    check = compare(saved(tmp_path / "old", serve, tf.TensorSpec([None, 4], tf.float32, name="x")))
    assert check.status == "failed"
    assert "WriteFile" in check.found
    assert not (tmp_path / "written").exists()


ROW = {"inputs": {"x": ROWS.tolist()}, "outputs": {"y": (ROWS * WEIGHT).tolist()}}


@pytest.mark.parametrize(
    "record",
    [
        ROW,
        {
            "request": {"signature_name": "good", "inputs": ROWS.tolist()},
            "response": {"outputs": ROW["outputs"]["y"]},
        },
        {"instances": ROW["inputs"]["x"], "predictions": ROW["outputs"]["y"]},
        {
            "instances": [{"x": x} for x in ROW["inputs"]["x"]],
            "predictions": [{"prob": y} for y in ROW["outputs"]["y"]],
        },
    ],
    ids=["columns", "nested", "rows", "named-rows"],
)
def test_check_against_json_lines_of_any_form_compares(record: Any, compare: Compare, tmp_path: Path) -> None:
    other = {"signature": "other", "inputs": {}, "outputs": {}}
    check = compare(lines(tmp_path / "log.jsonl", record, "", other, ROW))
    assert check.status == "passed", check.found
    assert "6 rows of 'good'" in check.found
    assert "1 records of signature 'other' are left out" in check.found


def test_check_against_recorded_texts_and_numbers_compares_exactly(compare: Compare, tmp_path: Path) -> None:
    words = {
        "signature_name": "lengths",
        "instances": ["a", {"b64": "/w=="}, "abc"],
        "predictions": [1, 1, 4],
    }
    check = compare(lines(tmp_path / "log", words), "lengths")
    assert check.status == "failed"
    assert "1 of 3 rows differ by up to 1 (line 1 row 2: 3 instead of 4): line 1 row 2" in check.found


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "line 1: expected a JSON object, got JSONDecodeError"),
        ("[" * 100_000, "line 1: expected a JSON object, got RecursionError"),
        ("[1]", "line 1: expected a JSON object with a request and its answer"),
        ("\xff", "line 1: expected a JSON object"),
        ({"inputs": {"x": [[1, 2, 3, 4]]}}, "line 1: expected outputs or predictions, got inputs"),
        (
            {"instances": [{"x": 1}, {"y": 1}], "outputs": 1},
            "expected the same names in each of instances",
        ),
        (
            {**ROW, "inputs": {"z": 1, "k": 2}},
            "line 1: the reference has no input for 'x', only 'k', 'z'; map the names",
        ),
        (
            {**ROW, "outputs": {"z": 1, "k": 1}},
            "line 1: none of the reference's outputs 'k', 'z' is one of 'y'",
        ),
        (
            {**ROW, "outputs": {"y": [[1, 2, 3, 4]]}},
            "line 1: output 'y': expected as many rows as the first input, [3]",
        ),
        (
            {**ROW, "outputs": {"y": [[1, 2, 3]] * 3}},
            "3 of 3 rows cannot be compared: shape [3, 4] instead of [3, 3]",
        ),
        (
            {**ROW, "outputs": {"y": [[1, None, 3, 4]] * 3}},
            "line 1: output 'y': expected float32 [None, 4], got None",
        ),
        ({**ROW, "inputs": {"x": [[1, 2], [3]]}}, "line 1: input 'x': expected float32 [None, 4], got"),
        (
            {**ROW, "inputs": {"x": 3}, "outputs": {"y": 3}},
            "line 1: input 'x': expected as many rows as the first input",
        ),
        (
            {**ROW, "inputs": {"x": [[1, 2]] * 3}},
            "line 1 row 0: the export refuses this row: INVALID_ARGUMENT",
        ),
        ({**ROW, "signature": 7}, "signature_name: expected a text, got 7"),
        (
            {**ROW, "signature": "other"},
            "nothing could be compared: 1 records of signature 'other' are left out",
        ),
        (
            '{"inputs": {"x": [[NaN, 1, 1, 1]]}, "outputs": {"y": [[1, 2, 3, 4]]}}',
            "1 of 1 rows differ (line 1: nan instead of 1)",
        ),
        (
            '{"inputs": {"x": [[1, 1, 1, 1]]}, "outputs": {"y": [["NaN", 2, 3, 4]]}}',
            "1 of 1 rows differ (line 1: 1 instead of nan)",
        ),
    ],
)
def test_check_against_lines_that_do_not_fit_says_where_and_why(
    record: Any, message: str, compare: Compare, tmp_path: Path
) -> None:
    check = compare(lines(tmp_path / "log", record))
    assert check.status == "failed"
    assert message in check.found
    assert "\n" not in check.found
    assert len(check.found) < 1000


def test_check_counts_lines_that_do_not_fit_and_compares_the_others(compare: Compare, tmp_path: Path) -> None:
    check = compare(lines(tmp_path / "log", *["{"] * 40, ROW))
    assert check.status == "failed"
    assert "35 more lines like these" in check.found
    assert "the answers to 3 rows" in check.looked_at


def test_check_against_nan_on_both_sides_passes(compare: Compare, tmp_path: Path) -> None:
    nan = '{"inputs": {"x": [[NaN, 1, Infinity, 1]]}, "outputs": {"y": [[NaN, 2, "Infinity", 4]]}}'
    check = compare(lines(tmp_path / "log", nan))
    assert check.status == "passed", check.found


@pytest.mark.parametrize("name", ["empty", "absent", "folder"])
def test_check_against_nothing_says_so(name: str, compare: Compare, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    check = compare(tmp_path / name)
    assert check.status == "failed"
    assert ("got an empty file" if name == "empty" else "got none of these") in check.found


def good_log(path: Path, count: int = 4) -> Path:
    return logged(path, [("good", {"x": ROWS + n}, {"y": (ROWS + n) * WEIGHT}) for n in range(count)])


def test_check_against_a_prediction_log_passes_and_takes_the_first_rows(
    compare: Compare, tmp_path: Path
) -> None:
    log = good_log(tmp_path / "log")
    assert "12 rows of 'good'" in compare(log).found
    assert "5 rows of 'good'" in compare(log, rows=5).found


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-9], "after 3 intact records: expected a record of"),
        (lambda data: data[: len(data) // 4 + 5], "after 1 intact records: expected 12 more bytes, got 5"),
        (
            lambda data: data[:-60] + bytes([data[-60] ^ 1]) + data[-59:],
            "after 3 intact records: expected a record with checksum",
        ),
    ],
    ids=["record", "header", "flipped"],
)
def test_check_against_a_damaged_log_compares_what_is_whole_and_says_where_it_ends(
    damage: Callable[[bytes], bytes], message: str, compare: Compare, tmp_path: Path
) -> None:
    log = good_log(tmp_path / "log")
    log.write_bytes(damage(log.read_bytes()))
    check = compare(log)
    assert check.status == "failed"
    assert message in check.found


def test_check_against_other_records_says_of_each_why(compare: Compare, tmp_path: Path) -> None:
    answers = {"y": ROWS * WEIGHT}
    log = logged(
        tmp_path / "log",
        [
            ("", {"x": ROWS}, answers),
            ("good", {"x": ROWS}, {}),
            ("good", {"x": np.array([b"a"] * 3)}, answers),
            ("good", {"x": ROWS.astype(np.float64)}, {"y": (ROWS * WEIGHT).astype(np.float64), "z": ROWS}),
        ],
    )
    with tf.io.TFRecordWriter(str(tmp_path / "more")) as writer:
        for kind in (b"\x3a\x00", b"no message"):
            writer.write(kind)
    log.write_bytes(log.read_bytes() + (tmp_path / "more").read_bytes())
    found = compare(log).found
    assert "record 2: expected the request with its answer, got no answer" in found
    assert "record 3: input 'x': expected float32, got object" in found
    assert "record 5: expected a predict_log, got a record of another kind" in found
    assert "record 6: expected a PredictionLog protocol buffer" in found


def test_read_of_a_declared_shape_without_values_is_refused(compare: Compare, tmp_path: Path) -> None:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "good"
    for tensors in (request.inputs, log.predict_log.response.outputs):
        for name in ("x", "y"):
            tensors[name].dtype = 1
            for size in (1 << 20, 1 << 20):
                tensors[name].tensor_shape.dim.add(size=size)
            tensors[name].float_val.append(1.0)
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        writer.write(log.SerializeToString())
    assert "expected a tensor of at most 16777216 elements" in compare(tmp_path / "log").found


def test_read_of_many_lines_takes_bounded_memory(tmp_path: Path) -> None:
    line = json.dumps({"inputs": {"x": [[1.25] * 99]}, "outputs": {"y": [[1.25] * 99]}}) + "\n"
    path, count = tmp_path / "log", 7000
    with path.open("w") as file:
        for _ in range(count):
            file.write(line)
    spec = TensorSpec("float32", (None, 99))
    naming = Naming(OutsideReference(), {"good": Signature(inputs={"x": spec}, outputs={"y": spec})})
    tracemalloc.start()
    try:
        rows = sum(len(one.rows) for one in merge_exchanges(read_exchanges(path, naming, Problems())))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == count
    assert peak < 3 << 20 < path.stat().st_size // 2


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"tolerance": -1.0}, {"tolerance": float("nan")}])
def test_reference_with_bounds_that_bound_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidDefinition, match=re.escape(next(iter(wrong)))):
        OutsideReference(uri="x", **wrong)


def test_check_against_a_recorded_graph_asks_it_untouched(subject_of: SubjectOf, tmp_path: Path) -> None:
    case = Case(source="queue", dropout="floor", norm="fused", variables="reference")
    recorded = record(case, tmp_path / "run")
    spec = {"x": TensorSpec("float32", (None, 5))}, {"probabilities": TensorSpec("float32", (None, 3))}

    class Drawn(RecordedDefinition):
        recording = str(recorded.meta)
        inputs, outputs = recorded.inputs, recorded.outputs
        signatures = {"serving_default": Signature(inputs=spec[0], outputs=spec[1])}

    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(x[:, :3])}

    other = saved(tmp_path / "other", serve, tf.TensorSpec([None, 5], tf.float32, name="x"))
    subject = subject_of("good", folder=other)
    subject.resources.__dict__["definition"] = Drawn()
    subject.reference_uri = Uri(recorded.meta)
    subject.definition.reference = OutsideReference(inputs=recorded.inputs, outputs=recorded.outputs)  # type: ignore[misc]
    check = check_reference_answers(subject)
    assert check.status == "failed"
    assert f"the answers to 200 rows, and those of the recorded graph {recorded.meta}" in check.looked_at, (
        check.found
    )
    assert "output 'probabilities': 200 of 200 rows differ" in check.found


def test_check_against_references_in_a_bucket_fetches_them(
    bucket: str, compare: Compare, behaviours: Path, tmp_path: Path
) -> None:
    storage = open_storage(bucket)
    for path in (path for path in behaviours.rglob("*") if path.is_file()):
        storage.create(f"old/7/{path.relative_to(behaviours).as_posix()}", path)
    storage.create("log.jsonl", lines(tmp_path / "log", ROW))
    for name, rows in (("old/7", 5), ("log.jsonl", 3)):
        assert f"{rows} rows of 'good'" in compare(f"{bucket}/{name}").found
    assert "got none of these" in compare(f"{bucket}/absent").found
