"""Measure drafting a definition of a large recorded graph, versus TensorFlow's import of the graph."""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks.harness import Comparison, Run, take_turns
from benchmarks.workshop import Workshop

__all__ = ["measure_draft"]

_MAKE = """
import sys
import tensorflow as tf
tf1 = tf.compat.v1
with tf.Graph().as_default() as graph:
    x, label = tf1.placeholder(tf.float32, [None, 64], "x"), tf1.placeholder(tf.int64, [None], "label")
    h, updates = x, []
    for number in range(200):
        with tf1.variable_scope(f"layer_{number}", use_resource=True):
            h = tf.matmul(h, tf1.get_variable("w", [64, 64])) + tf1.get_variable("b", [64])
            if number % 5 == 0:
                moments = tf.nn.moments(h, [0])
                for name, moment in zip(("mean", "variance"), moments):
                    average = tf1.get_variable(name, [64], trainable=False)
                    updates.append(tf1.assign_sub(average, 0.1 * (average - moment)))
                h = tf.nn.batch_normalization(h, *moments, None, None, 1e-3)
            h = tf.tanh(h)
            h = tf.nn.dropout(h, rate=0.2) if number % 10 == 0 else h
    logits = tf.matmul(h, tf1.get_variable("head", [64, 10], use_resource=True))
    tf.nn.softmax(logits, name="probabilities")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)
    with tf.control_dependencies(updates):
        tf1.train.AdamOptimizer().minimize(tf.reduce_mean(loss))
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver().save(session, sys.argv[1])
    print(len(graph.as_graph_def().node))
"""
_IMPORT = """
import sys
import tensorflow as tf
tf.compat.v1.disable_eager_execution()
tf.compat.v1.train.import_meta_graph(sys.argv[1])
"""


def measure_draft(workshop: Workshop) -> tuple[Comparison, ...]:
    """Run whole processes, each of which imports TensorFlow."""
    prefix = os.fspath(workshop.folder / "model.ckpt-1")
    workshop.say("recording a graph of 20,000 nodes")
    nodes = workshop.python("-c", _MAKE, prefix).stdout.split()[-1].decode()
    meta = f"{prefix}.meta"
    ways: dict[str, Callable[[], Run]] = {
        "TensorFlow's import_meta_graph": lambda: workshop.python("-c", _IMPORT, meta),
        "redraw draft": lambda: workshop.stage("draft", meta, "--name", "large"),
    }
    title = f"Drafting a definition: whole processes, of a recorded graph of {nodes} nodes"
    return (Comparison(title=title, series=take_turns(ways, workshop.turns)),)
