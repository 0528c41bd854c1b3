"""What is claimed of a piece inside of a function is tried with TensorFlow's own random numbers."""

from __future__ import annotations

import pytest
import tensorflow as tf

from redraw.recorded.chance import Replacement
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.loops import silence_loops

tf1 = tf.compat.v1


def recorded_loop(scale: float) -> tuple[tf1.GraphDef, Replacement]:
    """A loop whose body keeps 60 of 100 values and scales them, and the claim that this is dropout."""
    tf1.enable_control_flow_v2()
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, [None, 5])

        def body(time: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            data = tf.tanh(state, name="data")
            mask = tf1.random_uniform(tf.shape(data)) >= 0.4
            return time + 1, tf.where(mask, data * scale, tf.zeros_like(data), name="product")

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
        "1 random products inside of loops and functions were replaced by their data"
    )
    (function,) = (f for f in graph.library.function if f.signature.name == claim.function)
    assert not any(name.startswith("product") for node in function.node_def for name in node.input)


def test_silence_loops_claim_that_does_not_hold_in_a_function_is_refused() -> None:
    graph, claim = recorded_loop(3.0)
    with pytest.raises(CannotRun, match="does not show that product_0:0 is dropout of data:0"):
        silence_loops(graph, [claim])


def test_silence_loops_says_which_claim_could_not_be_tried() -> None:
    graph, claim = recorded_loop(1 / 0.6)
    said = silence_loops(graph, [Replacement(**{**vars(claim), "by": "absent:0"})])
    assert said.endswith(f"not tried by themselves: product_0 in the function {claim.function}")
