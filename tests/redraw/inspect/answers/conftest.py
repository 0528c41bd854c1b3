"""Two published versions of the text classifier whose answers are plain, and a third of other form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from redraw.publish.push.push import push_model
from redraw.records import Signature, TensorSpec
from redraw.records.files import encode_files
from redraw.requests import PushRequest
from redraw.storage.files import scan_tree
from tests.publishing.exports import export_record, passing_report

TOPICS = ("billing", "delivery", "technical", "praise")
WARM_UP = ("a", "bb", "ccc", "dddd", "eeeee", "ffffff")
_TEXT, _PAIR, _NUMBER = (
    TensorSpec("string", (None,)),
    TensorSpec("float32", (None, 2)),
    TensorSpec("float32", (None,)),
)
_CLASSES = Signature(
    inputs={"text": _TEXT}, outputs={"topic": _TEXT, "probabilities": TensorSpec("float32", (None, 4))}
)
SIGNATURES = {
    "serving_default": _CLASSES,
    "pairs": Signature(inputs={"x": _PAIR}, outputs={"sum": _NUMBER, "inverse": _PAIR}),
}
OTHER_SIGNATURES = {
    "serving_default": Signature(inputs={"text": _TEXT}, outputs={"topic": _TEXT, "rank": _NUMBER}),
    "pairs": Signature(inputs={"x": TensorSpec("float64", (None, 2))}, outputs={"sum": _NUMBER}),
    "fresh": Signature(inputs={"x": _NUMBER}, outputs={"y": _NUMBER}),
}


def _function(signature: Signature, answer: Callable[..., Mapping[str, tf.Tensor]]) -> Any:
    specs = [tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.inputs.items()]
    return tf.function(answer, input_signature=specs)


def _save(folder: Path, topics: int, more: float) -> None:
    """The topic is the text's length modulo `topics`; sums of pairs from above 2 are `more` too high."""

    def classify(text: tf.Tensor) -> Mapping[str, tf.Tensor]:
        place = tf.strings.length(text) % topics
        return {
            "topic": tf.gather(tf.constant(TOPICS), place),
            "probabilities": tf.one_hot(place, 4) * 0.5 + 0.125,
        }

    def add(x: tf.Tensor) -> Mapping[str, tf.Tensor]:
        checked = tf.debugging.assert_less(x[:, 0], 1e6 * topics, "no number so large")
        with tf.control_dependencies([checked]):
            return {"sum": tf.reduce_sum(x, 1) + tf.where(x[:, 0] > 2, more, 0.0), "inverse": 1000 * more / x}

    module = tf.Module()
    module.classify, module.add = (
        _function(SIGNATURES["serving_default"], classify),
        _function(SIGNATURES["pairs"], add),
    )
    signatures = {"serving_default": module.classify, "pairs": module.add}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as writer:
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.model_spec.signature_name = "serving_default"
        log.predict_log.request.inputs["text"].CopyFrom(tf.make_tensor_proto([*WARM_UP]))
        writer.write(log.SerializeToString())


def _save_other(folder: Path) -> None:
    module = tf.Module()
    answers: dict[str, Callable[..., Mapping[str, tf.Tensor]]] = {
        "serving_default": lambda text: {"topic": text, "rank": tf.cast(tf.strings.length(text), tf.float32)},
        "pairs": lambda x: {"sum": tf.cast(tf.reduce_sum(x, 1), tf.float32)},
        "fresh": lambda x: {"y": x},
    }
    module.all = {name: _function(OTHER_SIGNATURES[name], answer) for name, answer in answers.items()}
    tf.saved_model.save(module, str(folder), signatures=module.all)


def _publish(folder: Path, bucket: str, trained_at: str, signatures: Mapping[str, Signature]) -> int:
    scan = scan_tree(folder)
    record = export_record(folder, scan.digest, scan.size_bytes, trained_at)
    checkpoint = dataclasses.replace(record.checkpoint, model="text_classifier")
    record = dataclasses.replace(
        record, model="text_classifier", signatures=signatures, checkpoint=checkpoint
    )
    Path(f"{folder}.files.json").write_bytes(encode_files(scan.files))
    Path(f"{folder}.ledger.json").write_text('{"record": "Ledger"}')
    report = dataclasses.replace(passing_report(scan.digest), model="text_classifier")
    request = PushRequest(model="text_classifier", saved_model=record, report=report, bucket=bucket)
    return push_model(request).version


@dataclasses.dataclass(frozen=True)
class Published:
    """A bucket, and the versions in it."""

    bucket: str
    new: int
    old: int
    other_form: int


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, new_bucket: Callable[[], str]) -> Published:
    """Versions that answer topics by the length modulo 4 and 3, and sums that are 0.5 and 0.001 too high."""
    folder, bucket = tmp_path_factory.mktemp("answers"), new_bucket()
    _save(folder / "old", 3, 0.001)
    _save(folder / "new", 4, 0.5)
    _save_other(folder / "other")
    days = {"old": SIGNATURES, "new": SIGNATURES, "other": OTHER_SIGNATURES}
    old, new, other = (
        _publish(folder / name, bucket, f"2024-05-0{day}T00:00:00Z", signatures)
        for day, (name, signatures) in enumerate(days.items(), start=1)
    )
    return Published(bucket, new, old, other)
