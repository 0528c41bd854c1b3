"""Flags of training and of inference by their names, and values that a definition sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.recorded.flags import fix_constants, fix_flags, unknown_flags
from redraw.recorded.graph import Graph
from redraw.recorded.running import known_value

tf1 = tf.compat.v1


def defaults(*names: str, shape: Any = (), dtype: tf.DType = tf.bool) -> Graph:
    """Placeholders with a default, and what reads the first of them."""
    with tf.Graph().as_default() as drawn:
        for name in names:
            value = tf.zeros([1] * len(shape or ()), dtype)
            tf1.placeholder_with_default(value, shape, name)
        tf.identity(drawn.get_tensor_by_name(f"{names[0]}:0"), "answer")
    return Graph(drawn.as_graph_def().node, {}, "a test")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (
            False,
            "training is_training Is_Training in_train train_flag training_phase mode_train phase_train"
            " phasetraining keras_learning_phase learning_phase_1 net/dropout/is_training_3",
        ),
        (
            True,
            "inference is_inferring test is_testing eval evaluation evaluating predict_mode prediction"
            " predicting serving do_serving_flag net/is_eval_2",
        ),
        (None, "trained straining training_data is_training/x test_set pretest flag use_dropout keras_test"),
    ],
)
def test_fix_flags_takes_the_value_of_inference_from_the_name(value: bool | None, names: str) -> None:
    for name in names.split():
        graph = defaults(name)
        assert fix_flags(graph) == (value is not None)
        assert (f"{name}:0" in graph.replaced) == (value is not None)
        if value is not None:
            fixed = known_value(graph, f"{name}:0")
            assert fixed is not None
            assert fixed.item() == value


@pytest.mark.parametrize(
    ("shape", "dtype"), [([], tf.int32), ([1], tf.bool), ([None], tf.bool), (None, tf.bool)]
)
def test_fix_flags_leaves_what_is_no_single_bool(shape: Any, dtype: tf.DType) -> None:
    graph = defaults("is_training", shape=shape, dtype=dtype)
    assert (fix_flags(graph), graph.replaced) == (0, {})


def test_fix_flags_leaves_what_the_definition_has_set_and_counts_the_others() -> None:
    graph = defaults("is_training", "a/is_training", "b/testing", "other")
    fix_constants(graph, {"is_training": True})
    assert fix_flags(graph) == 2
    values = {name: known_value(graph, f"{name}:0") for name in ("is_training", "a/is_training", "b/testing")}
    assert {name: value is not None and value.item() for name, value in values.items()} == {
        "is_training": True,
        "a/is_training": False,
        "b/testing": True,
    }


@pytest.mark.parametrize("resource", [True, False])
def test_flags_in_variables_are_fixed_where_they_are_read_or_named(resource: bool) -> None:
    with tf.Graph().as_default() as drawn:
        training, other, step = (
            tf1.get_variable(name, initializer=value, use_resource=resource, trainable=False)
            for name, value in (("is_training", True), ("warm", True), ("step", 3))
        )
        tf.stack([tf.identity(training), tf.identity(other), step > 2], name="answer")
    graph = Graph(drawn.as_graph_def().node, {}, "a test")
    assert fix_flags(graph) == 1
    (message,) = unknown_flags(graph, ["answer:0"])
    assert message.startswith("the outputs depend on the flag 'warm', a variable ")
    fix_constants(graph, {"warm": 0, "step": 5})
    assert unknown_flags(graph, ["answer:0"]) == []
    answer = known_value(graph, "answer:0")
    assert answer is not None
    assert answer.tolist() == [False, False, True]


def test_fix_constants_takes_the_dtype_of_the_tensor_or_refuses() -> None:
    graph = defaults("rate", dtype=tf.float16)
    fix_constants(graph, {"rate:0": 1})
    value = known_value(graph, "rate:0")
    assert value is not None
    assert (value.dtype, value.item()) == (np.float16, 1.0)
    with pytest.raises(InvalidDefinition, match="constant 'rate': expected a float16, got 'fast'"):
        fix_constants(graph, {"rate": "fast"})
    with pytest.raises(InvalidDefinition, match="constant 'rates'.*the nearest are rate"):
        fix_constants(graph, {"rates": 1})
