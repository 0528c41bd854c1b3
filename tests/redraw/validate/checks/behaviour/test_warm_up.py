import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from redraw.validate.checks.behaviour.loads import check_warm_up
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.subject import Subject

SubjectOf = Callable[..., Subject]
Warmed = Callable[[Iterable[bytes]], Subject]


def predict(signature: str, **inputs: np.ndarray) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    for name, value in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


def classify(signature: str) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.classify_log.request.model_spec.signature_name = signature
    log.classify_log.request.input.example_list.examples.add()
    return log.SerializeToString()


@pytest.fixture
def path(behaviours: Path, tmp_path: Path) -> Path:
    shutil.copytree(behaviours, tmp_path / "model")
    (tmp_path / "model" / "assets.extra").mkdir()
    return tmp_path / "model" / "assets.extra" / "tf_serving_warmup_requests"


@pytest.fixture
def warmed(subject_of: SubjectOf, path: Path) -> Warmed:
    """An export with these warm-up records."""

    def write(records: Iterable[bytes]) -> Subject:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        return subject_of("good", folder=path.parents[1])

    return write


GOOD = predict("good", x=np.zeros((2, 4), np.float32))


def test_replay_requests_that_are_answered_passes(warmed: Warmed) -> None:
    check = check_warm_up(warmed([GOOD, predict("lengths", x=np.array([b"a", b""]))]))
    assert check.status == "passed"
    assert check.found == "2 requests, each answered"


def test_replay_without_a_file_passes_and_says_so(subject_of: SubjectOf) -> None:
    check = check_warm_up(subject_of("good"))
    assert check.status == "passed"
    assert "a server starts cold" in check.found


@pytest.mark.parametrize(
    ("record", "finding"),
    [
        (predict("good", x=np.zeros((2, 4), np.int32)), "Expects arg[0] to be float but int32"),
        (
            predict("good", x=np.zeros((2, 5), np.float32)),
            "[2,5] is not compatible with expected shape [?,4]",
        ),
        (predict("gone", x=np.zeros((2, 4), np.float32)), "no signature 'gone'"),
        (predict("", x=np.zeros((2, 4), np.float32)), "no signature 'serving_default'"),
        (classify("good"), "expected the inputs x, got inputs"),
        (b"\xff\xff\xff", "Error parsing message"),
    ],
)
def test_replay_request_that_a_server_refuses_fails_by_its_number(
    record: bytes, finding: str, warmed: Warmed
) -> None:
    check = check_warm_up(warmed([GOOD, record]))
    assert check.status == "failed"
    assert "record 2: " in check.found
    assert finding in check.found


def test_replay_file_that_is_cut_off_fails_wherever_it_is(warmed: Warmed, path: Path) -> None:
    subject = warmed([GOOD, GOOD])
    whole = path.read_bytes()
    for size in (5, len(whole) // 2 + 3, len(whole) - 1):
        path.write_bytes(whole[:size])
        check = check_warm_up(subject)
        assert check.status == "failed"
        assert f"after {int(size > len(whole) // 2)} intact records: expected" in check.found


def test_replay_file_with_any_byte_changed_fails_by_its_checksum(warmed: Warmed, path: Path) -> None:
    subject = warmed([GOOD])
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert "checksum" in check_warm_up(subject).found


def test_replay_more_records_than_a_server_takes_fails(warmed: Warmed) -> None:
    assert check_warm_up(warmed([GOOD] * 1000)).found == "1000 requests, each answered"
    assert check_warm_up(warmed([GOOD] * 1001)).found == "more than 1000 records"


def test_replay_kind_that_cannot_be_asked_here_is_not_run(warmed: Warmed) -> None:
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.request.feed.add().name = "x"
    with pytest.raises(CannotRun, match="a record of kind session_run_log"):
        check_warm_up(warmed([log.SerializeToString()]))
