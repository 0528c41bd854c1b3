"""Places of variables in networks of many kinds of layers, checked against what Keras itself restores."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.export.graph.places import find_places
from redraw.export.weights.mapping import map_checkpoint
from redraw.export.weights.request import WeightsRequest
from redraw.networks.modules import weights_by_name
from tests.kits import forget_names


def build(training: bool, kit: Any = keras) -> Any:
    """Embedding, recurrent, attention, nested, shared and quantity-keeping layers, by automatic names."""
    words = kit.Input((5,), dtype="int32")
    x = kit.layers.Embedding(10, 4)(words)
    x = kit.layers.Bidirectional(kit.layers.LSTM(2, return_sequences=True))(x)
    x = kit.layers.Dropout(0.5)(x) if training else x
    x = kit.layers.MultiHeadAttention(2, 2)(x, x)
    x = kit.layers.LayerNormalization()(x)
    shared = kit.layers.Dense(4)
    x = kit.layers.Add()([shared(x), shared(x)])
    inner = kit.Sequential([kit.Input((5, 4)), kit.layers.Conv1D(3, 2), kit.layers.BatchNormalization()])
    return kit.Model(words, kit.layers.Dense(2)(inner(x)), name="net")


FORMS = ["weights.h5", "h5", "checkpoint", "shifted checkpoint"]
FORMER = ["keras-2.weights.h5", "keras-2.h5", "keras-2.weights-only.h5", "keras-2 checkpoint"]


@pytest.mark.parametrize("form", [*FORMS, *FORMER])
def test_map_layers_of_many_kinds_finds_each_in_its_place(form: str, tmp_path: Path) -> None:
    kit = tf_keras if form.startswith("keras-2") else keras
    forget_names(kit)
    trained = build(training=True, kit=kit)
    weights = [weight for weight in trained.weights if "seed" not in weight.name]
    for number, weight in enumerate(weights):
        weight.assign(np.full(weight.shape, number, np.float32))
    path = tmp_path / f"saved.{form}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of old formats and of NumPy 2
        if "checkpoint" in form:
            path = Path(tf.train.Checkpoint(model=trained).write(str(tmp_path / "ckpt")))
        else:
            (trained.save_weights if "weights" in form else trained.save)(str(path))
    if form != "shifted checkpoint":
        forget_names()
    network = build(training=False)
    source = open_checkpoint(path)
    ledger = map_checkpoint(ask(network), source)
    values = {entry.variable: source.read_array(entry.key) for entry in ledger.served}
    served = [v for v in network.variables if "seed" not in v.path]
    assert len(values) == len(weights) == len(served) == len(weights_by_name(network))
    for variable, weight in zip(served, weights, strict=True):
        np.testing.assert_array_equal(values[variable.path], weight.numpy(), err_msg=variable.path)


def ask(network: keras.Model) -> WeightsRequest:
    variables = weights_by_name(network)
    places = find_places(network, variables)
    assert places.in_keras_files.keys() == variables.keys() == places.by_structure.keys()
    wanted: Any = [tf.TensorSpec(tuple(v.shape), v.dtype, name) for name, v in variables.items()]
    return WeightsRequest(
        variables=[_Named(spec) for spec in wanted],
        places=places,
    )


class _Named:
    def __init__(self, spec: tf.TensorSpec) -> None:
        self.name, self.dtype, self.shape = spec.name, spec.dtype.name, tuple(spec.shape)
        self.trainable = True
