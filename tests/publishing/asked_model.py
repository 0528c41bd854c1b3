"""A real SavedModel to ask: numbers, words, and signatures that take all time or memory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redraw.publish.push.push import push_model
from redraw.records import Release, Signature, TensorSpec
from redraw.records.files import encode_files
from redraw.requests import PushRequest
from redraw.storage.files import scan_tree
from tests.publishing.exports import export_record, passing_report

__all__ = ["ODD", "SIGNATURES", "publish_asked_model", "save_asked_model"]

_PAIRS, _WORDS, _ROUNDS = (
    TensorSpec("float32", (None, 2)),
    TensorSpec("string", (None,)),
    TensorSpec("int64", (None,)),
)
_ONE = TensorSpec("float32", (None,))
# No identifiers of Python, names that JavaScript and JSON's encoding of bytes give a meaning, and a quote.
ODD = ("image/encoded", "user-id", "größe", "class", "self", "b64", "constructor", "it's", "<b>", "2")
SIGNATURES = {
    "serving_default": Signature(inputs={"x": _PAIRS}, outputs={"double": _PAIRS, "inverse": _PAIRS}),
    "words": Signature(inputs={"word": _WORDS}, outputs={"again": _WORDS, "bytes": _ROUNDS}),
    "spin": Signature(inputs={"rounds": _ROUNDS}, outputs={"sum": TensorSpec("int64", (None,))}),
    "weigh": Signature(inputs=dict.fromkeys(ODD, _ONE), outputs=dict.fromkeys(("sum/all", "class"), _ONE)),
    "hold": Signature(inputs={"elements": _ROUNDS}, outputs={"sum": TensorSpec("int64", (None,))}),
}


def save_asked_model(folder: Path) -> None:
    """Save it by TensorFlow itself, with warm-up requests of two rows for `weigh` and `serving_default`."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    def turn(rounds: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
        """As many rounds of a loop as are asked for, with `held` in memory."""
        start = (tf.constant(0, tf.int64), tf.constant(0, tf.int64))
        end = tf.while_loop(
            lambda done, _: done < rounds,
            lambda done, total: (done + 1, total + held[done % 7]),
            start,
        )
        return tf.reshape(end[1], [1])

    def serve(**inputs: tf.TensorSpec) -> Callable[..., Any]:
        return tf.function(
            input_signature=[tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs.items()]
        )

    module = tf.Module()
    module.pairs = serve(x=_PAIRS)(lambda x: {"double": 2 * x, "inverse": 1 / x})
    module.words = serve(word=_WORDS)(
        lambda word: {"again": word, "bytes": tf.cast(tf.strings.length(word), tf.int64)}
    )
    module.spin = serve(rounds=_ROUNDS)(lambda rounds: {"sum": turn(rounds[0], tf.range(8, dtype=tf.int64))})
    module.hold = serve(elements=_ROUNDS)(
        lambda elements: {"sum": turn(tf.int64.max, tf.range(elements[0], dtype=tf.int64))}
    )
    module.weigh = serve(**{f"part_{place}": _ONE for place in range(len(ODD))})(
        # Each by a weight of its own: inputs that were exchanged give another sum.
        lambda *parts: {"total": sum(2**place * part for place, part in enumerate(parts))}
    )
    signatures = {"weigh": module.weigh, "words": module.words, "spin": module.spin, "hold": module.hold}
    signatures["serving_default"] = module.pairs
    tf.saved_model.save(module, str(folder), signatures=signatures)
    _name_oddly(folder / "saved_model.pb")
    recorded = {
        "weigh": {name: [place, 9] for place, name in enumerate(ODD)},
        "serving_default": {"x": [[0.1, 2.0], [3.0, 4.0]]},
    }
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as writer:
        for signature, inputs in recorded.items():
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = signature
            for name, rows in inputs.items():
                tensor = tf.make_tensor_proto(rows, dtype=tf.float32)
                log.predict_log.request.inputs[name].CopyFrom(tensor)
            writer.write(log.SerializeToString())


def _name_oddly(path: Path) -> None:
    """Give the signature `weigh` its names, which no argument of Python can have."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signature = saved.meta_graphs[0].signature_def["weigh"]
    for place, name in enumerate(ODD):
        signature.inputs[name].CopyFrom(signature.inputs.pop(f"part_{place}"))
    total = signature.outputs.pop("total")
    for name in ("sum/all", "class"):
        signature.outputs[name].CopyFrom(total)
    path.write_bytes(saved.SerializeToString())


def publish_asked_model(folder: Path, bucket: str) -> Release:
    """Push the saved model, under true records, as a version of `digits`."""
    scan = scan_tree(folder)
    record = dataclasses.replace(
        export_record(folder, scan.digest, scan.size_bytes, "2024-05-06T07:08:09Z"), signatures=SIGNATURES
    )
    Path(f"{folder}.files.json").write_bytes(encode_files(scan.files))
    Path(f"{folder}.ledger.json").write_text(json.dumps({"record": "Ledger"}))
    report = passing_report(scan.digest)
    return push_model(PushRequest(model="digits", saved_model=record, report=report, bucket=bucket))
