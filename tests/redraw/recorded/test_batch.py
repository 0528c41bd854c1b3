"""Graphs that were recorded with 16 rows, asked with 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.recorded.batch import free_batch, mixing_rows
from redraw.recorded.graph import Graph, copied
from redraw.recorded.shapes import infer_shapes

tf1 = tf.compat.v1
raw = tf.raw_ops
RECORDED, ASKED, WIDTH = 16, 7, 3
Draw = Callable[[Any], Any]
X = "redraw_input/x"


def recorded(draw: Draw, rows: int | None = RECORDED) -> Graph:
    with tf.Graph().as_default() as drawn:
        x = tf1.placeholder(tf.float32, [rows, WIDTH], X)
        tf.identity(draw(x), "answer")
    return Graph(drawn.as_graph_def().node, {}, "a test")


def freed(draw: Draw) -> tuple[int, Graph]:
    graph = recorded(draw)
    shapes = infer_shapes(graph, ["answer:0"], {f"{X}:0": (RECORDED, WIDTH)})
    return free_batch(graph, ["answer:0"], RECORDED, shapes), graph


def ask(graph: Graph, x: np.ndarray) -> np.ndarray:
    given = copied(graph.nodes[X])
    given.attr["shape"].shape.dim[0].size = -1
    graph.take(given)
    with tf.Graph().as_default() as asked, tf1.Session(graph=asked) as session:
        tf.import_graph_def(graph.part(graph.reach(["answer:0"])), name="")
        return np.asarray(session.run("answer:0", {f"{X}:0": x}))


def constant(*shape: int, dtype: type = np.float32) -> Any:
    return tf.constant(np.broadcast_to(np.arange(2, 2 + shape[-1]), shape).astype(dtype))


def as_lists(x: Any) -> Any:
    """Columns, put into lists of every kind and taken out again: the second one five times."""
    of = {"element_shape": [RECORDED], "element_dtype": tf.float32}
    turned = raw.TensorListFromTensor(tensor=tf.transpose(x), element_shape=[RECORDED])
    reserved = raw.TensorListReserve(num_elements=1, **of)
    reserved = raw.TensorListSetItem(input_handle=reserved, index=0, item=x[:, 1])
    pushed = raw.TensorListPushBack(
        input_handle=raw.EmptyTensorList(max_num_elements=1, **of), tensor=x[:, 1]
    )
    columns = [
        raw.TensorListGetItem(input_handle=turned, index=1, **of),
        raw.TensorListGather(input_handle=turned, indices=[1], **of)[0],
        *(raw.TensorListStack(input_handle=one, num_elements=-1, **of)[0] for one in (reserved, pushed)),
        raw.TensorListStack(input_handle=turned, num_elements=WIDTH, **of)[1],
    ]
    return tf.stack(columns, 1)


FREED: dict[str, tuple[Draw, int, Draw]] = {
    "reshaped": (lambda x: tf.reshape(x, [RECORDED, WIDTH, 1]), 1, lambda x: x[..., None]),
    "in a line": (lambda x: tf.reshape(x, [RECORDED * WIDTH]), 1, lambda x: x.ravel()),
    "and back": (
        lambda x: tf.reshape(tf.reshape(x, [RECORDED * WIDTH, 1]), [RECORDED, WIDTH]), 2, lambda x: x),
    "the rest is open": (lambda x: tf.reshape(x, [RECORDED, -1, 1]), 1, lambda x: x[..., None]),
    "the rows are open": (lambda x: tf.reshape(x, [-1, WIDTH]), 0, lambda x: x),
    "another size": (lambda x: tf.reshape(x[:4], [4, WIDTH]), 0, lambda x: x[:4]),
    "filled": (lambda x: x + tf.fill([RECORDED, WIDTH], 2.0), 1, lambda x: x + 2),
    "filled with one number": (lambda x: x + tf.fill([], 2.0), 0, lambda x: x + 2),
    "filled otherwise": (lambda x: x + tf.fill([1, WIDTH], 2.0), 0, lambda x: x + 2),
    "equal rows": (lambda x: x + constant(RECORDED, WIDTH), 1, lambda x: x + [2, 3, 4]),
    "equal blocks": (
        lambda x: x[:, None] + constant(RECORDED, 2, WIDTH), 1,
        lambda x: x[:, None].repeat(2, 1) + [2, 3, 4]),
    "two of them": (
        lambda x: x * constant(RECORDED, WIDTH) + tf.fill([RECORDED, 1], 2.0),
        2, lambda x: x * [2, 3, 4] + 2),
    "whole numbers": (
        lambda x: tf.cast(tf.cast(x, tf.int32) + constant(RECORDED, WIDTH, dtype=np.int32), tf.float32),
        1, lambda x: x.astype(int) + [2, 3, 4]),
    "declared": (lambda x: tf.ensure_shape(x, [RECORDED, WIDTH]), 1, lambda x: x),
    "a default": (
        lambda x: x + tf1.placeholder_with_default(constant(RECORDED, WIDTH), [RECORDED, WIDTH]),
        2, lambda x: x + [2, 3, 4]),
    "lists": (as_lists, 8, lambda x: x[:, [1] * 5]),
}  # fmt: skip


@pytest.mark.parametrize("kind", FREED)
def test_free_batch_lets_any_number_of_rows_be_asked(kind: str) -> None:
    draw, count, wanted = FREED[kind]
    x = np.random.default_rng(3).integers(-5, 5, (ASKED, WIDTH)).astype(np.float32)
    found, graph = freed(draw)
    np.testing.assert_array_equal(ask(graph, x), wanted(x))
    assert found == count
    assert "16" not in {
        str(dim.size) for node in graph.nodes.values() for dim in node.attr["shape"].shape.dim
    }


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: x + tf.constant(np.arange(RECORDED * WIDTH).reshape(RECORDED, WIDTH).astype(np.float32)),
        lambda x: tf.reshape(tf.reshape(x, [-1, 2]), [24, 2]),
        lambda x: x + tf.reshape(constant(RECORDED * WIDTH), [RECORDED, WIDTH]),
    ],
    ids=["other rows", "half of a row", "of constants"],
)
def test_free_batch_leaves_alone_what_is_no_size_of_the_batch(draw: Draw) -> None:
    count, graph = freed(draw)
    assert count == 0
    assert graph.nodes == recorded(draw).nodes


@pytest.mark.parametrize(
    ("draw", "found"),
    [
        (lambda x: x - tf.reduce_mean(x, 0), "Mean 'Mean' uses the batch's statistics, and has no"),
        (lambda x: x - tf.reduce_mean(tf.tanh(x * 2), 0), "Mean 'Mean' uses the batch's statistics"),
        (lambda x: x / tf.reduce_sum(x, [0, 1]), "Sum 'Sum' uses the batch's statistics"),
        (lambda x: x - tf.reduce_mean(x, -2), "Mean 'Mean' uses the batch's statistics"),
        (lambda x: x - tf.reduce_mean(x, 1, keepdims=True), ""),
        (lambda x: x + tf.reduce_mean(tf.ones([23, 3]), 0), ""),  # no data
        (lambda x: x + tf.reduce_mean(tf.ones(tf.shape(x)), 0), ""),  # but their shape
        (lambda x: x + tf.cast(tf.reduce_sum(tf.cast(x, tf.int32), 0), tf.float32), ""),
    ],
)  # fmt: skip
def test_mixing_rows_names_statistics_of_the_batch(draw: Draw, found: str) -> None:
    problems, shapes = mixing_rows(recorded(draw, None), ["answer:0"], {f"{X}:0": (None, WIDTH)})
    assert [problem.startswith(found) for problem in problems] == ([True] if found else [])
    assert shapes == {"answer:0": ((23, WIDTH), (29, WIDTH))}
