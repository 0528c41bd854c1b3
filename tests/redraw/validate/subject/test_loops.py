"""What is claimed of a piece inside of a function is tried with TensorFlow's own random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import tensorflow as tf

from redraw.recorded.chance import Replacement
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.loops import inside_loops, silence_loops

tf1 = tf.compat.v1


def recorded_loop(scale: float) -> tuple[tf1.GraphDef, Replacement]:
    """A loop whose body keeps 60 of 100 values and scales them, and the claim that this is dropout."""
    tf1.enable_control_flow_v2()
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, [None, 5])

        def body(time: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            data = tf.tanh(state, name="data")
            mask = tf1.random_uniform(tf.shape(data)) >= 0.4
            return time + 1, tf.abs(tf.where(mask, data * scale, tf.zeros_like(data), name="product"))

        tf1.while_loop(lambda time, _: time < 3, body, (0, x))
        definition = graph.as_graph_def()
    (function,) = (f for f in definition.library.function if "body" in f.signature.name)
    (product,) = (node.name for node in function.node_def if node.op == "SelectV2")
    return definition, Replacement(
        kind="dropout",
        tensor=f"{product}:0",
        by="data:0",
        evidence="claimed",
        function=function.signature.name,
    )


def test_silence_loops_tries_a_claim_in_a_function_and_reads_the_data_instead() -> None:
    graph, claim = recorded_loop(1 / 0.6)
    assert silence_loops(graph, [claim]) == (
        "1 random factors (dropout) inside loops and functions were removed"
    )
    (function,) = (f for f in graph.library.function if f.signature.name == claim.function)
    assert not any(name.startswith("product") for node in function.node_def for name in node.input)


def test_silence_loops_claim_that_does_not_hold_in_a_function_is_refused() -> None:
    graph, claim = recorded_loop(3.0)
    with pytest.raises(CannotRun, match="does not show that product:0 is dropout of data:0"):
        silence_loops(graph, [claim])


def test_silence_loops_says_which_claim_could_not_be_tried() -> None:
    graph, claim = recorded_loop(1 / 0.6)
    said = silence_loops(graph, [Replacement(**{**vars(claim), "by": "absent:0"})])
    assert said.endswith(f"not tried one by one: product in the function {claim.function}")


def old_loop(make: Callable[[tf.Tensor], tf.Tensor], shape: list[int | None]) -> tf1.GraphDef:
    """A loop of v1 control flow, and behind it what is no longer in it."""
    tf1.disable_control_flow_v2()
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, shape, "x")
        end = tf1.while_loop(
            lambda time, _: time < 3,
            lambda time, state: (time + 1, make(tf.tanh(state, name="data"))),
            (0, x),
        )[1]
        tf.identity(end, name="behind")
        return graph.as_graph_def(add_shapes=True)


def dropped(keep: float) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda data: tf.multiply(
        data / keep, tf.floor(keep + tf1.random_uniform(tf.shape(data))), name="product"
    )


CLAIM = Replacement(kind="dropout", tensor="while/product:0", by="while/data:0", evidence="claimed")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (dropped(0.5), "dropout"),
        (
            lambda data: tf.add(data, 0.1 * tf1.random_normal(tf.shape(data)), name="product"),
            "Gaussian noise",
        ),
        (
            lambda data: tf.multiply(data, 2.0 * tf.floor(0.5 + tf1.random_uniform([3, 4])), name="product"),
            "dropout",
        ),
    ],
    ids=["dropout", "noise", "the recorded shape"],
)
def test_silence_loops_of_v1_reads_the_data_instead(
    make: Callable[[tf.Tensor], tf.Tensor], kind: str
) -> None:
    graph = old_loop(make, [3, 4])
    claim = replace(CLAIM, kind=kind)
    assert "while/product" in inside_loops(graph)
    assert {"behind", "x", "while/Exit_1"}.isdisjoint(inside_loops(graph))
    before = {name for node in graph.node for name in node.input}
    done = silence_loops(
        graph, [claim, replace(claim, kind="batch statistic"), replace(claim, tensor="behind:0")]
    )
    assert done == "1 random factors (dropout) inside loops and functions were removed"
    read = {name for node in graph.node for name in node.input}
    assert (read - before, before - read) == ({"while/data:0"}, {"while/product"})


@pytest.mark.parametrize(
    "make",
    [
        lambda data: tf.multiply(data, tf.floor(0.5 + tf1.random_uniform(tf.shape(data))), name="product"),
        lambda data: tf.multiply(data, 1.0 + tf1.random_uniform(tf.shape(data)), name="product"),
        lambda data: tf.multiply(data, 0.0, name="product"),
    ],
    ids=["no scale", "no dropout", "nothing"],
)
def test_silence_loops_of_v1_refuses_what_is_not_claimed(make: Callable[[tf.Tensor], tf.Tensor]) -> None:
    with pytest.raises(CannotRun, match="does not show that while/product:0 is dropout of while/data:0"):
        silence_loops(old_loop(make, [None, 4]), [CLAIM])


def test_silence_loops_of_v1_refuses_noise_that_moves_the_mean() -> None:
    graph = old_loop(lambda data: tf.add(data, tf1.random_uniform(tf.shape(data)), name="product"), [None, 4])
    with pytest.raises(CannotRun, match="is noise of"):
        silence_loops(graph, [replace(CLAIM, kind="noise")])


def test_silence_loops_of_v1_says_which_claim_could_not_be_tried() -> None:
    done = silence_loops(old_loop(dropped(0.5), [None, 4]), [replace(CLAIM, by="absent:0")])
    assert done.endswith("not tried one by one: while/product")


def test_silence_loops_without_claims_does_nothing() -> None:
    graph, _ = recorded_loop(1 / 0.6)
    before = graph.SerializeToString(deterministic=True)
    assert silence_loops(graph, []) == ""
    assert graph.SerializeToString(deterministic=True) == before
