"""How layers are called, with what and with whose weights: which differences change an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tf_keras

from redraw.networks.layers.comparing import compare_models
from redraw.networks.layers.described import read_model
from redraw.networks.layers.drawn import describe_network
from redraw.networks.layers.pairing import Weights
from tests.kits import forget_names

Body = Callable[[Any, dict[str, Any]], Any]
KITS = {"keras-3": keras, "keras-2": tf_keras}


def problems(kit: Any, theirs: Body, ours: Body) -> list[str]:
    """What differs between a file and a network that is drawn with the weights of layers of its names."""
    file, drawn = model(kit, theirs), model(keras, ours)
    served = {layer.name: layer.name for layer in drawn.layers if layer.weights}
    weighted = frozenset(layer.name for layer in file.layers if layer.weights)
    described = read_model(json.loads(file.to_json()), keras_2=kit is tf_keras)
    return compare_models(
        described, describe_network(drawn), weights=Weights(sources=served, layers=weighted)
    ).problems


def model(kit: Any, body: Body) -> Any:
    forget_names(kit)
    inputs = {name: kit.Input((4, 4), name=name) for name in "ab"}
    return kit.Model(inputs, body(kit, inputs))


def dense(kit: Any, name: str, x: Any, **more: Any) -> Any:
    return kit.layers.Dense(4, name=name, **more)(x)


def joined(merge: str, *order: str) -> Body:
    """Two branches with layers of one kind, joined."""

    def body(kit: Any, inputs: dict[str, Any]) -> Any:
        made = {name: dense(kit, name, inputs["a"]) for name in ("p", "q")}
        return getattr(kit.layers, merge)()([made[name] for name in order])

    return body


def of_inputs(merge: str, *order: str) -> Body:
    return lambda k, i: dense(k, "d", getattr(k.layers, merge)()([i[name] for name in order]))


def applied(*names: str) -> Body:
    """Layers of one kind, one after the other; some more than once."""

    def body(kit: Any, inputs: dict[str, Any]) -> Any:
        layers = {name: kit.layers.Dense(4, activation="tanh", name=name) for name in "pq"}
        x = inputs["a"]
        for name in names:
            x = layers[name](x)
        return x

    return body


def attention(*order: str, **more: Any) -> Body:
    return lambda k, i: k.layers.MultiHeadAttention(2, 3, name="m")(*(i[name] for name in order), **more)


def decoded(*states: int) -> Body:
    """A layer that begins with the states of another one."""

    def body(kit: Any, inputs: dict[str, Any]) -> Any:
        _, *given = kit.layers.LSTM(4, return_state=True, name="encoder")(inputs["a"])
        more = {"initial_state": [given[n] for n in states]} if states else {}
        return kit.layers.LSTM(4, name="decoder")(inputs["b"], **more)

    return body


def state(number: int) -> Body:
    return lambda k, i: dense(k, "d", k.layers.LSTM(4, return_state=True, name="l")(i["a"])[number])


def layer(kind: str, **more: Any) -> Body:
    return lambda k, i: dense(k, "d", getattr(k.layers, kind)(name="n", **more)(i["a"]))


def trained(**more: Any) -> Body:
    return lambda k, i: dense(k, "d", k.layers.BatchNormalization(name="n")(i["a"], **more))


def product(*axes: int, **more: Any) -> Body:
    return lambda k, i: k.layers.Dot(axes, **more)([dense(k, "p", i["a"]), i["b"]])


def residual(*, before: bool) -> Body:
    def body(kit: Any, inputs: dict[str, Any]) -> Any:
        first = dense(kit, "p", inputs["a"])
        return kit.layers.Add()([inputs["a"] if before else first, dense(kit, "q", first)])

    return body


def operation(call: Callable[[Any, Any], Any]) -> Body:
    return lambda k, i: dense(k, "d", call(i["a"], i["b"]))


OTHERWISE: dict[str, tuple[Body, Body, str]] = {
    "branches-swapped": (joined("Subtract", "p", "q"), joined("Subtract", "q", "p"), "'p'.*'q'"),
    "layers-swapped": (applied("p", "q"), applied("q", "p"), "'q'"),
    "layer-repeated": (applied("p", "q", "q"), applied("p", "p", "q"), "'q'.*'p'"),
    "inputs-swapped": (of_inputs("Concatenate", "a", "b"), of_inputs("Concatenate", "b", "a"), "'a'.*'b'"),
    "input-twice": (of_inputs("Concatenate", "a", "b"), of_inputs("Concatenate", "a", "a"), "'b'.*'a'"),
    "query-and-value": (attention("a", "b"), attention("b", "a"), "'a'.*'b'"),
    "key": (attention("a", "b", "b"), attention("a", "b", "a"), "'b'.*'a'"),
    "causal": (attention("a", "b", use_causal_mask=True), attention("a", "b"), "'m'.*use_causal_mask"),
    "statistics-of-the-batch": (trained(training=True), trained(), "'n'.*training"),
    "initial-state": (decoded(0, 1), decoded(), "'decoder'.*3 tensors.* 1 "),
    "initial-state-added": (decoded(), decoded(0, 1), "'decoder'.*1 tensors.* 3 "),
    "initial-states-swapped": (decoded(0, 1), decoded(1, 0), "output"),
    "other-output": (state(0), state(2), "output"),
    "mask-of-attention": (
        lambda k, i: k.layers.MultiHeadAttention(2, 3, name="m")(i["a"], i["a"], attention_mask=i["b"]),
        attention("a", "a"),
        "'m'.*attention_mask",
    ),
    "sum-left-out": (
        lambda k, i: k.layers.Add(name="sum")([i["a"], dense(k, "p", i["a"])]),
        lambda k, i: dense(k, "p", i["a"]),
        "'sum'",
    ),
    "outputs-swapped": (
        lambda k, i: [dense(k, name, i["a"]) for name in "pq"],
        lambda k, i: [dense(k, name, i["a"]) for name in "qp"],
        "'p'.*'q'",
    ),
    "axis-of-softmax": (layer("Softmax", axis=1), layer("Softmax"), "'n'.*axis: 1.*-1"),
    "axis-of-norm": (layer("LayerNormalization", axis=1), layer("LayerNormalization"), "'n'.*axis"),
    "axes-of-product": (product(2, 1), product(1, 2), "axes"),
    "residual": (residual(before=True), residual(before=False), "'p'|'a'"),
}  # fmt: skip
ALIKE: dict[str, tuple[Body, Body]] = {
    "outputs-by-name": (
        lambda k, i: [dense(k, "q", i["a"]), dense(k, "p", i["a"])],
        lambda k, i: {name: dense(k, name, i["a"]) for name in "pq"},
    ),
    "sum-swapped": (joined("Add", "p", "q"), joined("Add", "q", "p")),
    "sum-of-inputs": (of_inputs("Add", "a", "b"), of_inputs("Add", "b", "a")),
    "query-value-and-key": (attention("a", "b", "a"), attention("a", "b", "a")),
    "key-is-value": (attention("a", "b", "b"), attention("a", "b")),
    "inference": (trained(training=False), trained()),
    "axis-from-the-end": (layer("Softmax", axis=2), layer("Softmax")),
    "state": (decoded(0, 1), decoded(0, 1)),
    "repeated": (applied("p", "q", "q"), applied("p", "q", "q")),
    "product": (product(2, 1), product(2, 1)),
}
# What Keras 2 writes of most of them says too little.
OF_KERAS_2 = ("factor", "order", "kind", "slice", "place")
OPERATIONS: dict[str, tuple[Body, Body]] = {
    name: (operation(theirs), operation(ours))
    for name, (theirs, ours) in {
        "factor": (lambda a, _: a * 2.0, lambda a, _: a * 3.0),
        "order": (lambda a, b: a - b, lambda a, b: b - a),
        "kind": (lambda a, b: a * b, lambda a, b: a + b),
        "slice": (lambda a, _: a[:, :2], lambda a, _: a[:, 2:]),
        "place": (lambda a, _: a[:, -1], lambda a, _: a[:, 0]),
        "axis": (lambda a, _: keras.ops.mean(a, axis=1), lambda a, _: keras.ops.mean(a, axis=2)),
        "softmax": (lambda a, _: keras.ops.softmax(a, axis=1), lambda a, _: keras.ops.softmax(a)),
        "axes": (
            lambda a, _: keras.ops.transpose(a, (0, 2, 1)),
            lambda a, _: keras.ops.transpose(a, (0, 1, 2)),
        ),
        "new-axis": (
            lambda a, _: keras.ops.stack([a, a], axis=2),
            lambda a, _: keras.ops.stack([a, a], axis=-1),
        ),
        "bounds": (lambda a, _: keras.ops.clip(a, -1.0, 1.0), lambda a, _: keras.ops.clip(a, 0.0, 1.0)),
        "equation": (
            lambda a, b: keras.ops.einsum("abc,abd->acd", a, b),
            lambda a, b: keras.ops.einsum("abc,adc->abd", a, b),
        ),
        "array": (
            lambda a, _: keras.ops.multiply(a, keras.ops.array([1.0, 2.0, 3.0, 4.0])),
            lambda a, _: keras.ops.multiply(a, keras.ops.array([4.0, 3.0, 2.0, 1.0])),
        ),
        "slope": (
            lambda a, _: keras.ops.leaky_relu(a, 0.3),
            lambda a, _: keras.ops.leaky_relu(a, 0.1),
        ),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("case", OTHERWISE)
def test_compare_calls_that_answer_otherwise_names_the_layer(case: str, kit: str) -> None:
    theirs, ours, message = OTHERWISE[case]
    found = problems(KITS[kit], theirs, ours)
    assert found, "it passes"
    assert re.search(message, " ".join(found)), found


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("case", [*ALIKE, *OTHERWISE])
def test_compare_calls_that_answer_alike_finds_nothing(case: str, kit: str) -> None:
    theirs, ours = ALIKE[case] if case in ALIKE else (OTHERWISE[case][0],) * 2
    assert problems(KITS[kit], theirs, ours) == []


@pytest.mark.parametrize("case", OPERATIONS)
def test_compare_operations_by_what_they_are_made_and_called_with(case: str) -> None:
    theirs, ours = OPERATIONS[case]
    for kit in (keras, tf_keras) if case in OF_KERAS_2 else (keras,):
        assert problems(kit, theirs, theirs) == []
        assert problems(kit, ours, ours) == []
        assert problems(kit, theirs, ours)


@pytest.mark.parametrize("case", OF_KERAS_2)
def test_compare_operations_without_modules_as_in_hdf5(case: str) -> None:
    theirs, ours = OPERATIONS[case]
    config = json.loads(model(keras, theirs).to_json())
    for item in config["config"]["layers"]:
        del item["module"]
    described = read_model(config, keras_2=False)
    assert compare_models(described, describe_network(model(keras, theirs))).problems == []
    assert compare_models(described, describe_network(model(keras, ours))).problems


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("key", ["factor", "rate", "momentum", "fill_value", "stateful"])
def test_compare_layers_of_an_own_class_by_all_that_they_were_made_with(key: str, kit: str) -> None:
    def made(kit: Any, value: float) -> Body:
        class Own(kit.layers.Layer):  # type: ignore[misc]
            def call(self, x: Any) -> Any:
                return x * value

            def get_config(self) -> dict[str, Any]:
                return {**super().get_config(), key: value}

        return lambda k, i: dense(k, "d", Own(name="own")(i["a"]))

    assert problems(KITS[kit], made(KITS[kit], 2.0), made(keras, 2.0)) == []
    (problem,) = problems(KITS[kit], made(KITS[kit], 2.0), made(keras, 3.0))
    assert f"'own' (Own), {key}: 2.0" in problem


def test_compare_low_rank_that_the_definition_lacks_is_named() -> None:
    def low(kit: Any, inputs: dict[str, Any]) -> Any:
        return dense(kit, "d", inputs["a"], lora_rank=2)

    def plain(kit: Any, inputs: dict[str, Any]) -> Any:
        return dense(kit, "d", inputs["a"])

    assert problems(keras, low, low) == []
    assert re.search("'d'.*lora_rank: 2 .*None", problems(keras, low, plain)[0])


def test_compare_model_of_an_own_class_by_what_it_was_made_with() -> None:
    @keras.saving.register_keras_serializable("test-calls")
    class Own(keras.Model):
        def __init__(self, activation: str = "relu", depth: int = 1, **more: Any) -> None:
            super().__init__(**more)
            self.activation, self.depth = activation, depth
            self.first = keras.layers.Dense(3, activation=activation)

        def call(self, x: Any) -> Any:
            return self.first(x)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "activation": self.activation, "depth": self.depth}

    def compared(theirs: Any, ours: Any) -> list[str]:
        for network in (theirs, ours):
            network(keras.ops.ones((1, 4)))
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
        return compare_models(read_model(config, keras_2=False), describe_network(ours)).problems

    assert compared(Own(), Own(name="other")) == []
    assert re.search("activation: 'relu'.*'tanh'", compared(Own(), Own("tanh"))[0])
    assert re.search("depth: 2.* 1 ", compared(Own(depth=2), Own())[0])
