from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tf_keras

from redraw.checkpoint.formats.configuration import read_configuration
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.networks.layers.comparing import Comparison, compare_models
from redraw.networks.layers.described import read_model
from redraw.networks.layers.drawn import describe_network
from tests.foreign.test_answers import quiet, save

Build = Callable[[Any, Any], Any]


def six(k: Any, x: Any) -> Any:
    return k.layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def activation(name: str) -> Build:
    return lambda k, x: k.layers.Activation(name)(x)


# What Keras 2 wrote, and what is drawn: the same function, or another one.
SAME: dict[str, tuple[Build, Build]] = {
    "hard-swish": (lambda k, x: k.layers.Multiply()([x, six(k, x)]), activation("hard_swish")),
    "hard-sigmoid": (six, activation("hard_sigmoid")),
    "swish": (lambda k, x: k.layers.Activation("sigmoid")(x) * x, activation("swish")),
    "swish-in-parts": (activation("swish"), lambda k, x: k.layers.Multiply()([x, k.ops.sigmoid(x)])),
    "scaled": (lambda k, x: k.layers.Rescaling(2.0, 1.0)(x), lambda k, x: x * 2.0 + 1.0),
    "clipped": (lambda k, x: k.layers.ReLU(20.0)(x), lambda k, x: k.layers.ReLU(max_value=20.0)(x)),
}
OTHER: dict[str, tuple[Build, Build]] = {
    "swish": (SAME["hard-swish"][0], activation("swish")),
    "twice": (lambda k, x: k.layers.Multiply()([x, six(k, six(k, x))]), activation("hard_swish")),
    "other-input": (
        lambda k, x: k.layers.Multiply()([k.layers.Dense(3)(x), six(k, x)]),
        activation("hard_swish"),
    ),
    "softmax": (lambda k, x: k.layers.Multiply()([x, k.layers.Softmax()(x)]), activation("swish")),
    "unclipped": (SAME["clipped"][0], lambda k, x: k.layers.ReLU()(x)),
}  # fmt: skip


def network(k: Any, build: Build) -> Any:
    x = k.Input((3,), name="x")
    y = build(k, k.layers.Dense(3, name="first")(x))
    return k.Model(x, k.layers.Dense(1, name="last")(y))


def compared(theirs: Any, ours: Any, folder: Path) -> Comparison:
    with quiet():
        configuration = read_configuration(open_checkpoint(save(theirs, "keras-2.h5", folder)))
    assert configuration is not None
    return compare_models(read_model(configuration.model, keras_2=True), describe_network(ours))


@pytest.mark.parametrize("name", SAME)
def test_compare_function_of_several_layers_finds_it_the_same(name: str, tmp_path: Path) -> None:
    theirs, ours = SAME[name]
    found = compared(network(tf_keras, theirs), network(keras, ours), tmp_path)
    assert (found.problems, found.uncertain) == ([], [])
    assert found.compared >= 3


@pytest.mark.parametrize("name", OTHER)
def test_compare_function_of_several_layers_that_is_another_is_an_error(name: str, tmp_path: Path) -> None:
    theirs, ours = OTHER[name]
    assert compared(network(tf_keras, theirs), network(keras, ours), tmp_path).problems


def test_compare_registered_class_is_known_without_its_package(tmp_path: Path) -> None:
    def build(k: Any, factor: float) -> Any:
        @k.saving.register_keras_serializable("mine")
        class Scaled(k.layers.Layer):  # type: ignore[misc]
            def __init__(self, factor: float, **more: Any) -> None:
                super().__init__(**more)
                self.factor = factor

            def call(self, x: Any) -> Any:
                return x * self.factor

            def get_config(self) -> dict[str, Any]:
                return {**super().get_config(), "factor": self.factor}

        return network(k, lambda _, x: Scaled(factor)(x))

    assert compared(build(tf_keras, 2.0), build(keras, 2.0), tmp_path).problems == []
    (problem,) = compared(build(tf_keras, 2.0), build(keras, 3.0), tmp_path).problems
    assert "factor: 2.0 in the file, and 3.0 in the definition" in problem


def test_compare_layers_that_change_images_finds_them_the_same(tmp_path: Path) -> None:
    def build(k: Any) -> Any:
        x = k.Input((8, 8, 3), name="x")
        y = k.layers.RandomFlip("horizontal")(x)
        y = k.layers.CenterCrop(4, 4)(k.layers.Resizing(6, 6)(y))
        return k.Model(x, k.layers.Conv2D(2, 3)(k.layers.RandomZoom(0.2)(y)))

    assert compared(build(tf_keras), build(keras), tmp_path).problems == []
    for form in ("h5", "keras"):
        with quiet():
            configuration = read_configuration(open_checkpoint(save(build(keras), form, tmp_path)))
        assert configuration is not None
        described = read_model(configuration.model, keras_2=False)
        assert compare_models(described, describe_network(build(keras))).problems == []
