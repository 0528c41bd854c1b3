"""Warm-up requests: TensorFlow Serving replays them before a version takes traffic."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from redraw.definition import ModelDefinition

__all__ = ["write_warm_up"]


def write_warm_up(definition: ModelDefinition, folder: Path) -> None:
    """Write `assets.extra/tf_serving_warmup_requests` from the golden examples.

    Args:
        definition: The model; each signature's golden batch becomes one request.
        folder: The SavedModel.

    Source:
        https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    from tensorflow_serving.apis import prediction_log_pb2

    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for signature, examples in sorted(definition.golden_examples().items()):
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, values in examples.inputs.items():
                dtype = definition.signatures[signature].inputs[name].dtype
                request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype=dtype))
            writer.write(log.SerializeToString(deterministic=True))
