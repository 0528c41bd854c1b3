"""Layers of two models: which differences change an answer, and which are none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tf_keras

from redraw.networks.layers.comparing import Comparison, compare_models
from redraw.networks.layers.described import Unreadable, read_model
from redraw.networks.layers.drawn import describe_network

L = keras.layers
Make = Callable[[Any], list[Any]]


def chain(kit: Any, layers: list[Any], shape: tuple[int, ...] = (6, 3)) -> Any:
    x = kit.Input(shape)
    y = x
    for layer in layers:
        y = layer(y)
    return kit.Model(x, y)


def compared(theirs: Any, ours: Any) -> Comparison:
    """The configuration of one model, as its file has it, next to another model as it is drawn."""
    config = json.loads(theirs.to_json())
    keras_2 = type(theirs).__module__.startswith("tf_keras")
    return compare_models(read_model(config, keras_2=keras_2), describe_network(ours))


SAME: dict[str, tuple[Make, Make]] = {
    "names": (lambda k: [k.layers.Dense(2, name="a")], lambda k: [k.layers.Dense(2, name="b")]),
    "dropout": (lambda k: [k.layers.Dense(2), k.layers.Dropout(0.5)], lambda k: [k.layers.Dense(2)]),
    "initializer": (lambda k: [k.layers.Dense(2, kernel_initializer="ones")], lambda k: [k.layers.Dense(2)]),
    "regularizer": (lambda k: [k.layers.Dense(2, kernel_regularizer="l2")], lambda k: [k.layers.Dense(2)]),
    "activation-apart": (
        lambda k: [k.layers.Dense(2, activation="relu")],
        lambda k: [k.layers.Dense(2), k.layers.ReLU()],
    ),
    "activation-layer": (
        lambda k: [k.layers.Dense(2), k.layers.Activation("relu")],
        lambda k: [k.layers.Dense(2, activation="relu")],
    ),
    "linear": (lambda k: [k.layers.Dense(2), k.layers.Activation("linear")], lambda k: [k.layers.Dense(2)]),
    "slope": (lambda k: [k.layers.LeakyReLU()], lambda k: [k.layers.LeakyReLU()]),
    "axis": (
        lambda k: [k.layers.BatchNormalization(axis=2)],
        lambda k: [k.layers.BatchNormalization(axis=-1)],
    ),
    "momentum": (
        lambda k: [k.layers.BatchNormalization(momentum=0.9)],
        lambda k: [k.layers.BatchNormalization()],
    ),
    "recurrent": (lambda k: [k.layers.LSTM(4)], lambda k: [k.layers.LSTM(4)]),
    "both-ways": (
        lambda k: [k.layers.Bidirectional(k.layers.GRU(4))],
        lambda k: [k.layers.Bidirectional(k.layers.GRU(4))],
    ),
    "in-time": (
        lambda k: [k.layers.TimeDistributed(k.layers.Dense(4, activation="tanh"))],
        lambda k: [k.layers.TimeDistributed(k.layers.Dense(4, activation="tanh"))],
    ),
    "convolution": (lambda k: [k.layers.Conv1D(2, 3)], lambda k: [k.layers.Conv1D(2, (3,), strides=(1,))]),
    "softmax": (
        lambda k: [k.layers.Dense(3, activation="softmax")],
        lambda k: [k.layers.Dense(3), k.layers.Softmax()],
    ),
    "gelu": (
        lambda k: [k.layers.Dense(3, activation="gelu")],
        lambda k: [k.layers.Dense(3, activation="gelu")],
    ),
    "within": (
        lambda k: [chain(k, [k.layers.Dense(2, activation="elu")])],
        lambda k: [k.layers.Dense(2), k.layers.ELU()],
    ),
    "sequence": (
        lambda k: [k.Sequential([k.layers.Dense(2), k.layers.Dense(3)])],
        lambda k: [k.layers.Dense(2), k.layers.Dense(3)],
    ),
}
DIFFERENT: dict[str, tuple[Make, Make, str]] = {
    "activation": (
        lambda k: [k.layers.Dense(2, activation="relu", name="d")],
        lambda k: [k.layers.Dense(2, activation="tanh")],
        "'d'.*activation.*relu.*tanh",
    ),
    "no-activation": (
        lambda k: [k.layers.Dense(2, activation="relu", name="d"), k.layers.Dense(3)],
        lambda k: [k.layers.Dense(2), k.layers.Dense(3)],
        "'d' .Activation.*only the file",
    ),
    "ends": (
        lambda k: [k.layers.Dense(2, name="d"), k.layers.Softmax(name="s")],
        lambda k: [k.layers.Dense(2, name="d")],
        "'s' .Softmax.*only the file",
    ),
    "epsilon": (
        lambda k: [k.layers.BatchNormalization(epsilon=0.5, name="bn")],
        lambda k: [k.layers.BatchNormalization()],
        "'bn'.*epsilon: 0.5.*0.001",
    ),
    "slope": (
        lambda k: [k.layers.LeakyReLU(0.9, name="leaky")],
        lambda k: [k.layers.LeakyReLU(0.1)],
        "'leaky'.*0\\.[89]\\d*.*0.1",
    ),
    "order": (
        lambda k: [k.layers.Dense(2), k.layers.BatchNormalization(name="bn"), k.layers.ReLU(name="r")],
        lambda k: [k.layers.Dense(2), k.layers.ReLU(), k.layers.BatchNormalization()],
        "'bn'.*before 'r'",
    ),
    "strides": (
        lambda k: [k.layers.Conv1D(2, 3, strides=2, name="c")],
        lambda k: [k.layers.Conv1D(2, 3)],
        "'c'.*strides",
    ),
    "padding": (
        lambda k: [k.layers.Conv1D(2, 3, padding="same", name="c")],
        lambda k: [k.layers.Conv1D(2, 3)],
        "'c'.*padding: 'same'",
    ),
    "dilation": (
        lambda k: [k.layers.Conv1D(2, 2, dilation_rate=2, name="c")],
        lambda k: [k.layers.Conv1D(2, 2)],
        "'c'.*dilation_rate",
    ),
    "scale": (
        lambda k: [k.layers.Rescaling(1 / 255, name="s")],
        lambda k: [k.layers.Rescaling(1 / 127.5)],
        "'s'.*scale",
    ),
    "offset": (
        lambda k: [k.layers.Rescaling(2, offset=-1, name="s")],
        lambda k: [k.layers.Rescaling(2)],
        "'s'.*offset: -1",
    ),
    "kind": (
        lambda k: [k.layers.GlobalMaxPooling1D(name="p"), k.layers.Dense(2)],
        lambda k: [k.layers.GlobalAveragePooling1D(), k.layers.Dense(2)],
        "'p' is GlobalMaxPooling1D in the file",
    ),
    "gate": (
        lambda k: [k.layers.LSTM(4, recurrent_activation="tanh", name="l")],
        lambda k: [k.layers.LSTM(4)],
        "'l'.*recurrent_activation: 'tanh'.*'sigmoid'",
    ),
    "inner": (
        lambda k: [k.layers.Bidirectional(k.layers.LSTM(4, activation="relu"), name="b")],
        lambda k: [k.layers.Bidirectional(k.layers.LSTM(4))],
        "'b'.*layer.activation: 'relu'.*'tanh'",
    ),
    "merged": (
        lambda k: [k.layers.Bidirectional(k.layers.LSTM(4), merge_mode="sum", name="b")],
        lambda k: [k.layers.Bidirectional(k.layers.LSTM(4), merge_mode="ave")],
        "'b'.*merge_mode",
    ),
    "backwards": (
        lambda k: [k.layers.LSTM(4, go_backwards=True, name="l")],
        lambda k: [k.layers.LSTM(4)],
        "'l'.*go_backwards",
    ),
    "first": (
        lambda k: [k.layers.Rescaling(0.5, name="r"), k.layers.Dense(2)],
        lambda k: [k.layers.Dense(2)],
        "'r' .Rescaling.*only the file",
    ),
    "axis": (
        lambda k: [k.layers.LayerNormalization(axis=1, name="n")],
        lambda k: [k.layers.LayerNormalization(axis=2)],
        "'n'.*axis",
    ),
    "mask": (
        lambda k: [k.layers.Masking(1.0, name="m"), k.layers.LSTM(2)],
        lambda k: [k.layers.Masking(0.0), k.layers.LSTM(2)],
        "'m'.*mask_value",
    ),
    "precision": (
        lambda k: [k.layers.Dense(2, dtype="mixed_float16", name="d")],
        lambda k: [k.layers.Dense(2)],
        "'d'.*dtype: 'float16'.*'float32'",
    ),
    "whole-numbers": (
        lambda k: [k.layers.Rescaling(2.5, dtype="int32", name="s")],
        lambda k: [k.layers.Rescaling(2.5)],
        "'s'.*dtype: 'int32'.*'float32'",
    ),
    "pool": (
        lambda k: [k.layers.MaxPooling1D(2, strides=1, name="p")],
        lambda k: [k.layers.MaxPooling1D(2)],
        "'p'.*strides",
    ),
}
KITS = {"keras-3": keras, "keras-2": tf_keras}


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("case", SAME)
def test_compare_layers_that_answer_alike_finds_nothing(case: str, kit: str) -> None:
    theirs, ours = SAME[case]
    result = compared(chain(KITS[kit], theirs(KITS[kit])), chain(keras, ours(keras)))
    assert not result.problems
    assert result.compared


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("case", DIFFERENT)
def test_compare_layers_that_answer_otherwise_names_layer_and_values(case: str, kit: str) -> None:
    theirs, ours, message = DIFFERENT[case]
    result = compared(chain(KITS[kit], theirs(KITS[kit])), chain(keras, ours(keras)))
    assert re.search(message, result.problems[0]), result.problems


def test_compare_hard_sigmoid_of_keras_2_is_another_function() -> None:
    def layer(kit: Any) -> Any:
        return kit.layers.LSTM(4, recurrent_activation="hard_sigmoid", name="l")

    assert not compared(chain(keras, [layer(keras)]), chain(keras, [layer(keras)])).problems
    (problem,) = compared(chain(tf_keras, [layer(tf_keras)]), chain(keras, [layer(keras)])).problems
    assert "hard_sigmoid of Keras 2" in problem

    def as_keras_2(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    ours = chain(keras, [L.LSTM(4, recurrent_activation=as_keras_2, name="other")])
    assert not compared(chain(tf_keras, [layer(tf_keras)]), ours).problems


def branches(order: tuple[int, int], merge: Any, **more: Any) -> Any:
    x = keras.Input((4,))
    made = [L.Dense(3, activation="tanh", name="left")(x), L.Dense(3, name="right", **more)(x)]
    return keras.Model(x, L.Dense(1)(merge([made[n] for n in order])))


def test_compare_branches_in_another_order_matters_where_they_are_joined() -> None:
    assert not compared(branches((0, 1), L.Add()), branches((1, 0), L.Add())).problems
    assert compared(branches((0, 1), L.Concatenate()), branches((1, 0), L.Concatenate())).problems
    found = compared(branches((0, 1), L.Add()), branches((1, 0), L.Add(), activation="relu")).problems
    assert found


def test_compare_part_of_a_model_leaves_the_rest_alone() -> None:
    x = keras.Input((4,))
    features = L.Dense(3, activation="relu", name="features")(x)
    whole = keras.Model(x, L.Dense(2, activation="softmax", name="head")(features))
    x = keras.Input((4,))
    part = keras.Model(x, L.Dense(3, activation="relu", name="features")(x))
    assert not compared(whole, part).problems


def test_compare_model_with_a_call_of_its_own_goes_by_names() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = L.Dense(3, activation="tanh", name="first")

        def call(self, x: Any) -> Any:
            return self.first(x)

    own = Own()
    own(keras.ops.ones((1, 4)))
    theirs = chain(keras, [L.Dense(3, activation="relu", name="first")], (4,))
    (problem,) = compared(theirs, own).problems
    assert "'first'" in problem


@pytest.mark.parametrize(
    "config",
    [
        {
            "class_name": "Functional",
            "config": {"layers": [], "input_layers": [], "output_layers": [["a", 0, 0]]},
        },
        {"class_name": "Functional", "config": {"layers": 3, "input_layers": [], "output_layers": []}},
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}]}},
        {
            "class_name": "Functional",
            "config": {
                "layers": [
                    {"class_name": "Dense", "config": {"name": "a"}, "inbound_nodes": [[["a", 0, 0, {}]]]}
                ],
                "input_layers": [],
                "output_layers": [["a", 0, 0]],
            },
        },
    ],
)
def test_read_model_that_keras_would_not_write_is_unreadable(config: Any) -> None:
    with pytest.raises(Unreadable):
        read_model(config, keras_2=False)
