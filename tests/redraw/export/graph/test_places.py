"""Places of variables in networks of many kinds of layers, checked against what Keras itself restores."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.export.graph.places import find_places
from redraw.export.weights.mapping import map_checkpoint
from redraw.export.weights.request import WeightsRequest
from redraw.networks.modules import weights_by_name
from tests.kits import forget_names


def build(training: bool) -> keras.Model:
    """Embedding, recurrent, attention, nested, shared and quantity-keeping layers, by automatic names."""
    words = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(10, 4)(words)
    x = keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True))(x)
    x = keras.layers.Dropout(0.5)(x) if training else x
    x = keras.layers.MultiHeadAttention(2, 2)(x, x)
    x = keras.layers.LayerNormalization()(x)
    shared = keras.layers.Dense(4)
    x = keras.layers.Add()([shared(x), shared(x)])
    inner = keras.Sequential(
        [keras.Input((5, 4)), keras.layers.Conv1D(3, 2), keras.layers.BatchNormalization()]
    )
    return keras.Model(words, keras.layers.Dense(2)(inner(x)), name="net")


@pytest.mark.parametrize("form", ["weights.h5", "checkpoint", "shifted checkpoint"])
def test_map_layers_of_many_kinds_finds_each_in_its_place(form: str, tmp_path: Path) -> None:
    forget_names()
    trained = build(training=True)
    for number, variable in enumerate(trained.variables):
        if "seed" not in variable.path:
            variable.assign(np.full(variable.shape, number, np.float32))
    if form == "weights.h5":
        path = tmp_path / "m.weights.h5"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras' own, of NumPy 2
            trained.save_weights(path)
    else:
        path = Path(tf.train.Checkpoint(model=trained).write(str(tmp_path / "ckpt")))
    if form != "shifted checkpoint":
        forget_names()
    network = build(training=False)
    ledger = map_checkpoint(ask(network), open_checkpoint(path))
    source = open_checkpoint(path)
    expected = [v.numpy() for v in trained.variables if "seed" not in v.path]
    values = {entry.variable: source.read_array(entry.key) for entry in ledger.served}
    assert len(values) == len(expected) == len(weights_by_name(network))
    served = [v for v in network.variables if "seed" not in v.path]
    for variable, value in zip(served, expected, strict=True):
        np.testing.assert_array_equal(values[variable.path], value)


def ask(network: keras.Model) -> WeightsRequest:
    variables = weights_by_name(network)
    places = find_places(network, variables)
    assert places.in_keras_files.keys() == variables.keys() == places.by_structure.keys()
    wanted: Any = [tf.TensorSpec(tuple(v.shape), v.dtype, name) for name, v in variables.items()]
    return WeightsRequest(
        variables=[_Named(spec) for spec in wanted],
        structure_places=places.by_structure,
        saved_places=places.in_keras_files,
    )


class _Named:
    def __init__(self, spec: tf.TensorSpec) -> None:
        self.name, self.dtype, self.shape = spec.name, spec.dtype.name, tuple(spec.shape)
        self.trainable = True
