"""What Keras 2 and 3 call alike and compute otherwise: no such file is served without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.checkpoint.formats.configuration import read_configuration
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.formats.writer import find_writer
from redraw.networks.layers.comparing import compare_models
from redraw.networks.layers.described import read_model
from redraw.networks.layers.drawn import describe_network
from redraw.networks.layers.meanings import other_masks, other_meanings
from tests.foreign.test_answers import quiet, save
from tests.kits import forget_names

Build = Callable[[Any], Any]

FILM, WORDS = (3, 6, 6, 2), (5,)
FORMS = ("ckpt", "weights.h5", "h5", "h5-weights")


def chain(shape: tuple[int, ...], *layers: Callable[[Any], Any]) -> Build:
    def build(kit: Any) -> Any:
        x = kit.Input(shape, name="x")
        y = x
        for layer in layers:
            y = layer(kit)(y)
        return kit.Model(x, y)

    return build


def embedded(k: Any, x: Any, *, masked: bool = True, offset: int = 0) -> Any:
    return k.layers.Embedding(8, 4, mask_zero=masked)(x + offset if offset else x)


def merged(merge: str, after: Callable[[Any], Any], **second: Any) -> Build:
    def build(k: Any) -> Any:
        x = k.Input(WORDS, dtype="int32", name="x")
        both = getattr(k.layers, merge)()([embedded(k, x), embedded(k, x, **second)])
        return k.Model(x, after(k)(k.layers.Dense(4)(both)))

    return build


def sequence(k: Any) -> Any:
    return k.layers.LSTM(3)


def mean(k: Any) -> Any:
    return k.layers.GlobalAveragePooling1D()


def attention(k: Any) -> Any:
    def call(x: Any) -> Any:
        return k.layers.GlobalAveragePooling1D()(k.layers.MultiHeadAttention(2, 3)(x, x))

    return call


def residual(k: Any) -> Any:
    x = k.Input(WORDS, dtype="int32", name="x")
    first = embedded(k, x)
    joined = k.layers.Add()([first, k.layers.Dropout(0.1)(k.layers.Dense(4)(first))])
    return k.Model(x, k.layers.GlobalAveragePooling1D()(k.layers.LayerNormalization()(joined)))


def inside(kit: Any) -> Any:
    class Block(kit.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.inner = kit.layers.Dense(3, activation="hard_sigmoid", name="inner")
            self.inner.build(shape)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.inner(x)

    x = kit.Input((6, 3), name="x")
    return kit.Model(x, kit.layers.Dense(1, name="y")(Block(name="block")(x)))


@keras.saving.register_keras_serializable()
@tf_keras.saving.register_keras_serializable()
def _clipped(x: Any) -> Any:
    return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable()
@tf_keras.saving.register_keras_serializable()
def _opened(x: Any) -> Any:
    return tf.sigmoid(x)


def film_both_ways(gate: Callable[[Any], Any]) -> Build:
    return chain(FILM, lambda k: k.layers.Bidirectional(k.layers.ConvLSTM2D(2, 3, recurrent_activation=gate)))


OTHERWISE: dict[str, Build] = {
    "conv-lstm": chain(FILM, lambda k: k.layers.ConvLSTM2D(2, 3)),
    "conv-lstm-1d": chain((3, 6, 2), lambda k: k.layers.ConvLSTM1D(2, 3)),
    "conv-lstm-both-ways": chain(FILM, lambda k: k.layers.Bidirectional(k.layers.ConvLSTM2D(2, 3))),
    "activation": chain((6, 3), lambda k: k.layers.Dense(4, activation="hard_sigmoid")),
    "activation-layer": chain(
        (6, 3), lambda k: k.layers.Dense(4), lambda k: k.layers.Activation("hard_sigmoid")
    ),
    "gate": chain((6, 3), lambda k: k.layers.GRU(4, recurrent_activation="hard_sigmoid")),
    "in-time": chain(
        (6, 3), lambda k: k.layers.TimeDistributed(k.layers.Dense(4, activation="hard_sigmoid"))
    ),
    "both-ways": chain(
        (6, 3), lambda k: k.layers.Bidirectional(k.layers.LSTM(4, recurrent_activation="hard_sigmoid"))
    ),
    "cell": chain(
        (6, 3), lambda k: k.layers.RNN(k.layers.LSTMCell(4, recurrent_activation="hard_sigmoid"))
    ),
    "inside": inside,
    **{
        f"{merge}-{after.__name__}-{kind}": merged(merge, after, **second)
        for merge, after in (("Add", sequence), ("Add", mean), ("Add", attention), ("Concatenate", sequence))
        for kind, second in (("unmasked", {"masked": False}), ("other", {"offset": 1}))
    },
    "Maximum-mean-unmasked": merged("Maximum", mean, masked=False),
}  # fmt: skip
ALIKE: dict[str, Build] = {
    "residual": residual,
    **{f"{merge}-lstm-same": merged(merge, sequence) for merge in ("Add", "Concatenate")},
    "unmasked-after": merged("Add", lambda k: k.layers.GlobalMaxPooling1D(), masked=False),
    "stated": chain(FILM, lambda k: k.layers.ConvLSTM2D(2, 3, recurrent_activation=_clipped)),
    "stated-sigmoid": chain(FILM, lambda k: k.layers.ConvLSTM2D(2, 3, recurrent_activation=tf.sigmoid)),
    "stated-both-ways": film_both_ways(_clipped),
    "stated-sigmoid-both-ways": film_both_ways(_opened),
    "plain": chain((6, 3), lambda k: k.layers.LSTM(4), lambda k: k.layers.Dense(1, activation="sigmoid")),
    "batch": chain((6, 3), lambda k: k.layers.BatchNormalization(), lambda k: k.layers.LeakyReLU()),
}


def problems(path: Path, network: Any) -> list[str]:
    """What the check `file-configuration` says of a file and a network that is drawn."""
    source = open_checkpoint(path)
    configuration, drawn, writer = read_configuration(source), describe_network(network), find_writer(source)
    if writer.keras_3:
        return []
    if configuration is None:
        return [*other_meanings(drawn, writer), *other_masks(drawn)]
    described = read_model(configuration.model, keras_2=configuration.keras_2)
    return [*compare_models(described, drawn).problems, *other_masks(drawn)]


def answers(network: Any) -> np.ndarray:
    shape = (4, *network.inputs[0].shape[1:])
    rng = np.random.default_rng(4)
    words = len(shape) == len(WORDS) + 1
    x = rng.integers(0, 7, shape) if words else rng.normal(size=shape).astype(np.float32)
    return np.asarray(network(tf.constant(x)))


def drawn_with_weights_of(theirs: Any, build: Build) -> Any:
    rng = np.random.default_rng(3)
    ours = build(keras)
    weights = [rng.uniform(0.1, 0.9, w.shape).astype(w.dtype) for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return ours


@pytest.mark.parametrize("name", [*OTHERWISE, *ALIKE])
def test_file_of_keras_2_that_would_answer_otherwise_is_named(name: str, tmp_path: Path) -> None:
    build = (OTHERWISE | ALIKE)[name]
    with quiet():
        forget_names()
        theirs = build(tf_keras)
        ours = drawn_with_weights_of(theirs, build)
        same = np.allclose(answers(ours), answers(theirs), atol=1e-4)
        for form in FORMS if name in ("gate", "conv-lstm", "plain", "residual") else ("ckpt", "h5"):
            if form == "h5" and name.startswith(("inside", "stated")):
                continue  # code of its own, which no file names
            path = tmp_path / f"{form}.h5"
            if form == "h5-weights":
                theirs.save_weights(str(path), save_format="h5")
            else:
                path = save(theirs, f"keras-2.{form}", tmp_path)
            found = problems(path, ours)
            assert bool(found) == (name in OTHERWISE), f"{form}: {found}"
    assert same == (name in ALIKE)


@pytest.mark.parametrize("name", ["conv-lstm", "gate", "Add-sequence-unmasked"])
def test_file_of_keras_3_is_read_as_keras_3_means_it(name: str, tmp_path: Path) -> None:
    with quiet():
        network = OTHERWISE[name](keras)
        for form in ("ckpt", "weights.h5", "keras", "h5"):
            assert problems(save(network, form, tmp_path), network) == []


@pytest.mark.parametrize(
    ("layer", "variables"),
    [("LSTM", {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}),
     ("GRU", {"kernel": (3, 12), "recurrent_kernel": (4, 12), "bias": (2, 12)})],
)  # fmt: skip
def test_gates_of_tensorflow_1_are_named(
    layer: str, variables: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, shape in variables.items():
            v1.get_variable(f"r/{name}", shape)
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    drawn = chain((6, 3), lambda k: getattr(k.layers, layer)(4, name="r"))(keras)
    stated = chain((6, 3), lambda k: getattr(k.layers, layer)(4, recurrent_activation=tf.sigmoid))(keras)
    assert [p for p in problems(Path(prefix), drawn) if "hard_sigmoid" in p and "tf.sigmoid" in p]
    assert problems(Path(prefix), stated) == []
    cell = chain((6, 3), lambda k: k.layers.RNN([getattr(k.layers, f"{layer}Cell")(4)]))(keras)
    (found,) = problems(Path(prefix), cell)
    assert "cells." in found
    both = chain((6, 3), lambda k: k.layers.Bidirectional(getattr(k.layers, layer)(4)))(keras)
    assert all("register_keras_serializable" in problem for problem in problems(Path(prefix), both))
    assert len(problems(Path(prefix), both)) == 2  # noqa: PLR2004 - forward and backward
