"""Good definitions of every dtype that a request, a weight or an answer may have."""

from __future__ import annotations

from typing import Any

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from redraw.definition import Mode, Signature, TensorSpec
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature

__all__ = [
    "Bfloat16",
    "Complex",
    "Float16",
    "Float64",
    "Integers",
    "MixedPrecision",
    "Quantized",
    "TruthAndText",
]


class Float64(Tiny):
    """All of it in float64."""

    dtype, held = "float64", np.float64
    signatures = one_signature({"x": TensorSpec("float64", (None, 4))}, y=TensorSpec("float64", (None, 1)))

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4).astype(self.held)}

    def build(self, mode: Mode) -> Any:
        x = keras.Input([4], dtype=self.dtype, name="x")
        hidden = keras.layers.Dense(8, activation="tanh", dtype=self.dtype, name="hidden")(x)
        if mode is Mode.TRAIN:
            hidden = keras.layers.Dropout(0.2, dtype=self.dtype)(hidden)
        return keras.Model({"x": x}, keras.layers.Dense(1, dtype=self.dtype, name="y")(hidden))


class Float16(Float64):
    """All of it in float16."""

    dtype, held, tolerance = "float16", np.float16, 2e-3
    signatures = one_signature({"x": TensorSpec("float16", (None, 4))}, y=TensorSpec("float16", (None, 1)))


class Bfloat16(Float64):
    """All of it in bfloat16."""

    dtype, held, tolerance = "bfloat16", ml_dtypes.bfloat16, 2e-2
    signatures = one_signature({"x": TensorSpec("bfloat16", (None, 4))}, y=TensorSpec("bfloat16", (None, 1)))


class MixedPrecision(Tiny):
    """Weights in float32, computed with in bfloat16."""

    tolerance = 2e-2
    signatures = one_signature({"x": TensorSpec("float32", (None, 4))}, y=TensorSpec("float32", (None, 1)))

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def build(self, mode: Mode) -> Any:
        x = keras.Input([4], name="x")
        hidden = keras.layers.Dense(8, activation="relu", dtype="mixed_bfloat16", name="hidden")(x)
        return keras.Model({"x": x}, keras.layers.Dense(1, dtype="float32", name="y")(hidden))


class Quantized(Tiny):
    """Weights in int8 with a scale; int8 in, uint8 out."""

    signatures = one_signature({"x": TensorSpec("int8", (None, 4))}, y=TensorSpec("uint8", (None, 3)))

    def rows(self, count: int) -> Arrays:
        return {"x": (normal(count, 4) * 40).astype(np.int8)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 3], np.float32)

    def build(self, mode: Mode) -> Any:
        return _QuantizedNetwork()

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"y": tf.cast(tf.clip_by_value(tf.round(network(inputs)), 0, 255), tf.uint8)}


class _QuantizedNetwork(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.constant([[3, -8, 1]] * 4, tf.int8), trainable=False)
        self.scale = tf.Variable([0.5, 0.25, 2.0])

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        product = tf.matmul(tf.cast(inputs["x"], tf.int32), tf.cast(self.kernel, tf.int32))
        return tf.cast(product, tf.float32) * self.scale + 128.0


class Complex(Tiny):
    """A spectrum: complex64 in and out, and complex weights."""

    signatures = one_signature(
        {"signal": TensorSpec("complex64", (None, 8))},
        spectrum=TensorSpec("complex64", (None, 8)),
        power=TensorSpec("float32", (None, 8)),
    )
    tolerance = 1e-4

    def rows(self, count: int) -> Arrays:
        return {"signal": (normal(count, 8) + 1j * normal(count, 8)[::-1]).astype(np.complex64)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 8], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Spectrum()

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return tf.abs(network(features))

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        spectrum = network(inputs)
        return {"spectrum": spectrum, "power": tf.square(tf.abs(spectrum))}


class _Spectrum(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.turn = tf.Variable(tf.complex(tf.ones([8]), tf.linspace(0.0, 1.0, 8)), trainable=False)
        self.gain = tf.Variable(tf.ones([8]))

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        return tf.signal.fft(inputs["signal"]) * self.turn * tf.complex(self.gain, tf.zeros([8]))


class Integers(Tiny):
    """Every width of integers, in and out, with a weight of each kind."""

    kinds = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    signatures = {
        "serving_default": Signature(
            inputs={f"in_{kind}": TensorSpec(kind, (None,)) for kind in kinds},
            outputs={f"out_{kind}": TensorSpec(kind, (None,)) for kind in kinds},
        )
    }

    def rows(self, count: int) -> Arrays:
        return {f"in_{kind}": np.arange(count).astype(kind) for kind in self.kinds}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Offsets(self.kinds)

    def call(self, network: Any, features: Any, mode: Mode) -> Any:
        return network.gain * tf.cast(network(features)["out_int32"], tf.float32)

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return dict(network(inputs))


class _Offsets(tf.Module):
    def __init__(self, kinds: tuple[str, ...]) -> None:
        super().__init__()
        self.gain = tf.Variable(0.1)
        self.offsets = {kind: tf.Variable(tf.cast(3, kind), trainable=False) for kind in kinds}

    def __call__(self, inputs: Tensors) -> Tensors:
        return {f"out_{kind}": inputs[f"in_{kind}"] + offset for kind, offset in self.offsets.items()}


class TruthAndText(Tiny):
    """Booleans and texts, in and out."""

    signatures = one_signature(
        {"text": TensorSpec("string", (None,)), "loud": TensorSpec("bool", (None,))},
        said=TensorSpec("string", (None,)),
        short=TensorSpec("bool", (None,)),
    )

    def rows(self, count: int) -> Arrays:
        texts = [f"wörd {number * 'x'}".encode() for number in range(count)]
        return {"text": np.array(texts, dtype=object), "loud": np.arange(count) % 2 == 0}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count], np.float32)

    def build(self, mode: Mode) -> Any:
        return _Speaker()

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        said = tf.where(inputs["loud"], tf.strings.upper(inputs["text"]), inputs["text"])
        return {"said": said, "short": network(inputs) < 10.0}


class _Speaker(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(1.0)

    def __call__(self, inputs: Tensors) -> tf.Tensor:
        return self.weight * tf.cast(tf.strings.length(inputs["text"]), tf.float32)
