"""Good definitions of Keras networks: what layers there are, and how they are put together."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.definition import Mode, Signature, TensorSpec, TrainingPlan
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature

__all__ = [
    "Attention",
    "Audio",
    "Averaged",
    "Counting",
    "Images",
    "Preprocessing",
    "Recurrent",
    "SeveralOutputs",
    "SeveralSignatures",
    "SharedAndNested",
    "VariableLength",
]

_X4 = {"x": TensorSpec("float32", (None, 4))}
_Y1 = TensorSpec("float32", (None, 1))


class _Numbers(Tiny):
    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}


class SharedAndNested(_Numbers):
    """One layer used twice, in a network inside of the network."""

    signatures = one_signature(_X4, y=_Y1)

    def build(self, mode: Mode) -> Any:
        shared = keras.layers.Dense(4, activation="tanh", name="shared")
        inside = keras.Input([4])
        inner = keras.Model(inside, shared(shared(inside)), name="inner")
        x = keras.Input([4], name="x")
        hidden = keras.layers.BatchNormalization(name="norm")(inner(inner(x)))
        if mode is Mode.TRAIN:
            hidden = keras.layers.GaussianNoise(0.1)(hidden)
        return keras.Model({"x": x}, keras.layers.Dense(1, name="y")(hidden))


class Averaged(SharedAndNested):
    """The moving average of the weights is served."""

    weights = "average"
    training = TrainingPlan(steps=2, evaluate_every=2, average_decay=0.5)


class Counting(_Numbers):
    """A layer that counts its calls, as the definition declares."""

    signatures = one_signature(_X4, y=_Y1)
    stateful_ops = ("AssignVariableOp",)

    def build(self, mode: Mode) -> Any:
        x = keras.Input([4], name="x")
        counted = _Count(name="count")(keras.layers.Dense(1, name="y")(x))
        return keras.Model({"x": x}, counted)


class _Count(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.calls.assign_add(1.0)
        return x


class SeveralOutputs(_Numbers):
    """Three answers to one request, of different ranks."""

    signatures = one_signature(
        _X4,
        score=TensorSpec("float32", (None,)),
        parts=TensorSpec("float32", (None, 2, 3)),
        best=TensorSpec("int64", (None,)),
    )

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 6], np.float32)

    def build(self, mode: Mode) -> Any:
        x = keras.Input([4], name="x")
        return keras.Model({"x": x}, keras.layers.Dense(6, name="y")(x))

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        y = self.call_serving(network, dict(inputs))
        best = tf.argmax(y, axis=-1)
        return {"score": tf.reduce_max(y, -1), "parts": tf.reshape(y, [-1, 2, 3]), "best": best}


class SeveralSignatures(_Numbers):
    """An embedding, a score and a comparison, of one network."""

    signatures = {
        "serving_default": Signature(inputs=_X4, outputs={"y": _Y1}),
        "embed": Signature(inputs=_X4, outputs={"vector": TensorSpec("float32", (None, 8))}),
        "compare": Signature(
            inputs={"x": _X4["x"], "other": _X4["x"]}, outputs={"likeness": TensorSpec("float32", (None,))}
        ),
    }

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4), "other": normal(count, 4)[:, ::-1].copy()}

    def training_data(self) -> tf.data.Dataset:
        return super().training_data().map(lambda rows, label: ({"x": rows["x"]}, label))

    def evaluation_data(self) -> tf.data.Dataset:
        return super().evaluation_data().map(lambda rows, label: ({"x": rows["x"]}, label))

    def build(self, mode: Mode) -> Any:
        return _TwoTowers(name="towers")

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        vector = network.embed(inputs["x"])
        if signature == "embed":
            return {"vector": vector}
        if signature == "compare":
            return {"likeness": tf.reduce_sum(vector * network.embed(inputs["other"]), axis=-1)}
        return {"y": network.answer(vector)}


class _TwoTowers(keras.Model):
    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.embed = keras.layers.Dense(8, activation="tanh", name="embed")
        self.answer = keras.layers.Dense(1, name="answer")
        self.embed.build((None, 4))
        self.answer.build((None, 8))

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.answer(self.embed(inputs["x"]))


class Recurrent(Tiny):
    """A bidirectional LSTM over a GRU."""

    signatures = one_signature({"x": TensorSpec("float32", (None, 6, 3))}, y=_Y1)

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 6, 3)}

    def build(self, mode: Mode) -> Any:
        x = keras.Input([6, 3], name="x")
        hidden = keras.layers.GRU(4, return_sequences=True, name="gru")(x)
        hidden = keras.layers.Bidirectional(keras.layers.LSTM(3, name="lstm"), name="both_ways")(hidden)
        return keras.Model({"x": x}, keras.layers.Dense(1, name="y")(hidden))


class Attention(Tiny):
    """Tokens with padding: embedding, attention with a mask, layer normalization."""

    signatures = one_signature({"tokens": TensorSpec("int32", (None, 6))}, y=_Y1)

    def rows(self, count: int) -> Arrays:
        return {"tokens": (np.arange(count * 6).reshape(count, 6) % 7).astype(np.int32)}

    def build(self, mode: Mode) -> Any:
        tokens = keras.Input([6], dtype="int32", name="tokens")
        hidden = keras.layers.Embedding(7, 8, name="embedding")(tokens)
        mask = keras.ops.not_equal(tokens, 0)[:, None, :]
        attend = keras.layers.MultiHeadAttention(2, 4, dropout=0.1, name="attention")
        hidden = keras.layers.LayerNormalization(name="norm")(
            hidden + attend(hidden, hidden, attention_mask=mask)
        )
        hidden = keras.layers.GlobalAveragePooling1D(name="mean")(hidden)
        return keras.Model({"tokens": tokens}, keras.layers.Dense(1, name="y")(hidden))


class VariableLength(Tiny):
    """Sequences of any length."""

    signatures = one_signature({"x": TensorSpec("float32", (None, None, 3))}, y=_Y1)

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 5, 3)}

    def build(self, mode: Mode) -> Any:
        x = keras.Input([None, 3], name="x")
        hidden = keras.layers.Conv1D(4, 3, padding="same", activation="relu", name="conv")(x)
        hidden = keras.layers.GlobalMaxPooling1D(name="most")(hidden)
        return keras.Model({"x": x}, keras.layers.Dense(1, name="y")(hidden))


class Images(Tiny):
    """An image comes out: down, and up again."""

    signatures = one_signature(
        {"image": TensorSpec("uint8", (None, 8, 8, 3))}, mask=TensorSpec("float32", (None, 8, 8, 1))
    )

    def rows(self, count: int) -> Arrays:
        return {"image": (np.arange(count * 192).reshape(count, 8, 8, 3) % 251).astype(np.uint8)}

    def labels(self, count: int) -> np.ndarray:
        return np.ones([count, 8, 8, 1], np.float32)

    def build(self, mode: Mode) -> Any:
        image = keras.Input([8, 8, 3], dtype="uint8", name="image")
        hidden = keras.layers.Rescaling(1 / 255, name="scale")(keras.ops.cast(image, "float32"))
        if mode is Mode.TRAIN:
            hidden = keras.layers.RandomFlip(name="flip")(hidden)
        hidden = keras.layers.SeparableConv2D(4, 3, strides=2, padding="same", name="down")(hidden)
        hidden = keras.layers.GroupNormalization(2, name="norm")(hidden)
        hidden = keras.layers.Conv2DTranspose(2, 3, strides=2, padding="same", name="up")(hidden)
        mask = keras.layers.Conv2D(1, 1, activation="sigmoid", name="mask")(hidden)
        return keras.Model({"image": image}, mask)

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        return {"mask": self.call_serving(network, dict(inputs))}


class Preprocessing(Tiny):
    """Keras' preprocessing layers: tables in memory, hashes, buckets, statistics."""

    signatures = one_signature(
        {
            "age": TensorSpec("float32", (None, 1)),
            "colour": TensorSpec("string", (None, 1)),
            "shop": TensorSpec("int64", (None, 1)),
        },
        y=_Y1,
    )

    def rows(self, count: int) -> Arrays:
        colours = [[("red", "blue", "grün", "")[n % 4].encode()] for n in range(count)]
        shops = np.arange(count, dtype=np.int64)[:, None]
        return {"age": normal(count, 1) * 20 + 40, "colour": np.array(colours, dtype=object), "shop": shops}

    def build(self, mode: Mode) -> Any:
        age = keras.Input([1], name="age")
        colour = keras.Input([1], dtype="string", name="colour")
        shop = keras.Input([1], dtype="int64", name="shop")
        normalized = keras.layers.Normalization(mean=40.0, variance=400.0, name="normal")(age)
        bucket = keras.layers.Discretization([20.0, 40.0, 60.0], name="bucket")(age)
        buckets = keras.layers.CategoryEncoding(4, name="one_hot")(bucket)
        words = keras.layers.StringLookup(vocabulary=["red", "blue"], name="words")(colour)
        known = keras.layers.IntegerLookup(vocabulary=[1, 2, 3], name="shops")(shop)
        hashed = keras.layers.Hashing(5, name="hash")(shop)
        parts = [normalized, buckets]
        for name, ids, rows in (("colours", words, 3), ("known", known, 4), ("hashed", hashed, 5)):
            parts.append(keras.layers.Flatten()(keras.layers.Embedding(rows, 2, name=name)(ids)))
        y = keras.layers.Dense(1, name="y")(keras.layers.Concatenate()(parts))
        return keras.Model({"age": age, "colour": colour, "shop": shop}, y)


class Audio(Tiny):
    """Three seconds of sound a row, which a batch of 257 makes large."""

    signatures = one_signature({"sound": TensorSpec("float32", (None, 48_000))}, y=_Y1)

    def rows(self, count: int) -> Arrays:
        return {"sound": normal(count, 48_000)}

    def build(self, mode: Mode) -> Any:
        sound = keras.Input([48_000], name="sound")
        frames = keras.layers.Reshape([187, 256, 1], name="frames")(sound[:, :47_872])
        hidden = keras.layers.Conv2D(32, 7, strides=2, activation="relu", name="near")(frames)
        hidden = keras.layers.BatchNormalization(name="norm")(hidden)
        hidden = keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="far")(hidden)
        pooled = keras.layers.GlobalMaxPooling2D(name="most")(hidden)
        return keras.Model({"sound": sound}, keras.layers.Dense(1, name="y")(pooled))
