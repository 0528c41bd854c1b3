"""Variables that are made while a network is drawn: of the right form, without their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.export.graph.declared import Declarations, draw_declared, is_declared

DRAWN: dict[str, tuple[dict[str, Any], str, tuple[int | None, ...]]] = {
    "an array": ({"initial_value": np.arange(3.0)}, "float64", (3,)),
    "an array of another dtype": ({"initial_value": np.arange(3.0), "dtype": tf.float32}, "float32", (3,)),
    "a tensor": ({"initial_value": tf.constant([[1, 2]])}, "int32", (1, 2)),
    "an initializer": ({"initial_value": lambda: tf.zeros([2, 2])}, "float32", (2, 2)),
    "an initializer with a dtype": (
        {"initial_value": lambda: np.zeros(2, np.float32), "dtype": tf.float32}, "float32", (2,)),
    "a list": ({"initial_value": [1.0, 2.0]}, "float32", (2,)),
    "a shape of its own": (
        {"initial_value": np.zeros((2, 3), np.float32), "shape": tf.TensorShape([None, 3])},
        "float32", (None, 3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", DRAWN)
def test_draw_declared_variable_has_the_form_that_it_would_have(kind: str) -> None:
    wanted, dtype, shape = DRAWN[kind]

    def draw(declarations: Declarations) -> tf.Variable:
        with tf.Graph().as_default(), declarations.in_force():
            return tf.Variable(**wanted, name="weight", trainable=False)

    variable = draw_declared(draw)
    assert is_declared(variable)
    assert (variable.dtype.name, tuple(variable.shape.as_list())) == (dtype, shape)
    assert (variable.name, variable.trainable) == ("weight:0", False)


def test_draw_declared_allocates_what_cannot_be_traced(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> Any:
        if tf.inside_function() or not tf.executing_eagerly():
            raise ValueError("give me\nvalues")
        return tf.zeros([2])

    def draw(declarations: Declarations) -> list[tf.Variable]:
        with declarations.in_force():
            return [tf.Variable(fails, name="own"), tf.Variable(lambda: tf.zeros([3]))]

    own, other = draw_declared(draw)
    assert (is_declared(own), is_declared(other)) == (False, True)
    assert own.numpy().tolist() == [0, 0]
    assert (
        "variable own: allocated, because its initial value cannot be traced (ValueError: give me)"
        in caplog.text
    )
