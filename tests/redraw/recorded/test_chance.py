"""Chance that is combined with data in graphs of a few operations: what it is, and what takes its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.recorded.chance import Replacement, remove_chance
from redraw.recorded.graph import INPUT, Graph
from redraw.recorded.shapes import infer_shapes

tf1 = tf.compat.v1
Draw = Callable[[Any], Any]
ROWS, WIDTH = 6, 5


def removed(draw: Draw, dtype: tf.DType, *kept: str) -> tuple[list[Replacement], list[str], Graph]:
    with tf.Graph().as_default() as drawn:
        tf1.set_random_seed(1)
        x = tf1.placeholder(dtype, [None, WIDTH], f"{INPUT}x")
        tf.identity(draw(tf.identity(x, "data")), "answer")
    graph = Graph(drawn.as_graph_def().node, {}, "a test")
    graph.shapes = infer_shapes(graph, ["answer:0"], {f"{INPUT}x:0": (None, WIDTH)})
    return *remove_chance(graph, ["answer:0"], kept), graph


def ask(graph: Graph, x: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default() as asked, tf1.Session(graph=asked) as session:
        tf.import_graph_def(graph.part(graph.reach(["answer:0"])), name="")
        return np.asarray(session.run(graph.resolve("answer:0"), {f"{INPUT}x:0": x}))


def uniform(x: Any, dtype: tf.DType | None = None) -> Any:
    return tf.random.uniform(tf.shape(x), dtype=dtype or x.dtype)


def mask(x: Any, keep: Any = 0.6) -> Any:
    return tf.floor(tf.cast(keep, x.dtype) + uniform(x))


def alpha(x: Any, rate: float = 0.3, *, low: float = -1.7580993408473766) -> Any:
    kept = tf.cast(uniform(x) >= rate, tf.float32)
    scale = ((1 - rate) * (1 + rate * 1.7580993408473766**2)) ** -0.5  # as for the low that is right
    return scale * (x * kept + low * (1 - kept)) - scale * low * rate


def given(name: str) -> Any:
    return tf1.placeholder(tf.float32, [], name)


SHARE = r"^of \d+ answers 0\.(600|599|601) are x / 0\.[56]\d*, the others 0$"
MOVES = "the answer differs from x by {} times the random numbers"
FOUND: dict[str, tuple[Draw, str, str]] = {
    "floor": (lambda x: x / 0.6 * mask(x), "dropout", SHARE),
    "select": (lambda x: tf.where(uniform(x) >= 0.4, x / 0.6, tf.zeros_like(x)), "dropout", SHARE),
    "scaled after": (lambda x: x * mask(x) / 0.6, "dropout", SHARE),
    "scaled twice": (lambda x: tf.identity(x * 2 * mask(x) / 1.2), "dropout", SHARE),
    "whole rows": (
        lambda x: x / 0.6 * tf.floor(0.6 + tf.random.uniform([tf.shape(x)[0], 1])), "dropout", SHARE),
    "stateless": (lambda x: tf.nn.experimental.stateless_dropout(x, 0.4, seed=[1, 2]), "dropout", SHARE),
    "a rate that is given": (
        lambda x: x / given("keep") * mask(x, tf1.get_default_graph().get_tensor_by_name("keep:0")),
        "dropout", r"^run with several rates: of \d+ answers "),
    "alpha dropout": (
        alpha, "alpha dropout", r"^0\.700 of the answers are 0\.8\d+ x \+0\.4\d+, the others -1\.0\d"),
    "Gaussian noise": (
        lambda x: x + tf.random.normal(tf.shape(x), stddev=0.25), "Gaussian noise", MOVES.format("0.25")),
    "uniform noise": (lambda x: x + (uniform(x) - 0.5) / 2, "Gaussian noise", MOVES.format("0.5")),
    "Gaussian dropout": (
        lambda x: x * tf.random.normal(tf.shape(x), mean=1.0, stddev=0.5),
        "Gaussian dropout", MOVES.format("0.5")),
    "truncated noise": (
        lambda x: x + 0.5 * tf.random.truncated_normal(tf.shape(x)), "Gaussian noise", MOVES.format("0.5")),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOUND)
def test_chance_that_is_recognized_is_taken_out_with_its_evidence(kind: str) -> None:
    draw, name, evidence = FOUND[kind]
    done, refused, graph = removed(draw, tf.float32)
    assert refused == []
    assert [replacement.kind for replacement in done] == [name]
    assert re.search(evidence, done[0].evidence), done[0].evidence
    assert done[0].by == "data:0"
    x = np.random.default_rng(2).normal(size=(ROWS, WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(ask(graph, x), x)


@pytest.mark.parametrize("dtype", [tf.float64, tf.float16, tf.bfloat16])
def test_dropout_of_other_floats_is_recognized(dtype: tf.DType) -> None:
    done, refused, _ = removed(lambda x: x / 0.5 * tf.cast(mask(tf.cast(x, tf.float32), 0.5), dtype), dtype)
    assert ([replacement.kind for replacement in done], refused) == (["dropout"], [])


def test_mask_for_two_is_taken_out_of_both() -> None:
    def draw(x: Any) -> Any:
        both = mask(x, 0.5)
        return x / 0.5 * both + tf.square(x) / 0.5 * both

    done, refused, graph = removed(draw, tf.float32)
    assert refused == []
    assert [(replacement.kind, replacement.function) for replacement in done] == [("dropout", "")] * 2
    x = np.linspace(-2, 2, ROWS * WIDTH).reshape(ROWS, WIDTH).astype(np.float32)
    np.testing.assert_allclose(ask(graph, x), x + x**2, rtol=1e-6)


def test_dropouts_one_after_the_other_are_all_taken_out() -> None:
    done, refused, graph = removed(lambda x: tf.nn.dropout(tf.tanh(tf.nn.dropout(x, 0.4)), 0.5), tf.float32)
    assert (len(done), refused) == (2, [])
    x = np.linspace(-2, 2, ROWS * WIDTH).reshape(ROWS, WIDTH).astype(np.float32)
    np.testing.assert_allclose(ask(graph, x), np.tanh(x), rtol=1e-6)


MEETS = r"^RandomUniform '.*' is combined with data in '.*', which is neither dropout nor noise$"
NORMAL = MEETS.replace("RandomUniform", "RandomStandardNormal")
REACHES = "^RandomUniform '.*' reaches the outputs$"
REFUSED: dict[str, tuple[Draw, str]] = {
    "another rate": (lambda x: x / 0.5 * mask(x), MEETS),
    "no scale": (lambda x: x * mask(x), MEETS),
    "a turned sign": (lambda x: x * (0.0 - mask(x)) / 0.6, MEETS),
    "alpha dropout of another value": (lambda x: alpha(x, low=-1.2), MEETS),
    "a shift": (lambda x: x + uniform(x), MEETS),
    "a square": (lambda x: x + tf.square(tf.random.normal(tf.shape(x))), NORMAL),
    "of the data": (lambda x: x + tf.exp(x) * tf.random.normal(tf.shape(x)), NORMAL),
    "two data": (lambda x: tf.where(uniform(x) > 0.5, x, tf.square(x)), MEETS),
    "no data": (uniform, REACHES),
    "only a shape": (lambda x: x + tf.zeros(tf.shape(uniform(x)[:, :1])), REACHES),
    "whole numbers": (
        lambda x: tf.cast(tf.cast(x, tf.int32) * tf.cast(uniform(x) * 2, tf.int32), tf.float32), MEETS),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_chance_that_is_nothing_known_is_refused_by_name(kind: str) -> None:
    draw, message = REFUSED[kind]
    done, refused, _ = removed(draw, tf.float32)
    assert done == []
    assert len(refused) == 1
    assert re.search(message, refused[0]), refused


def test_chance_that_is_kept_stays() -> None:
    done, refused, graph = removed(lambda x: uniform(x) + tf.nn.dropout(x, 0.5), tf.float32, "RandomUniform")
    assert (done, refused) == ([], [])
    assert sum(graph.nodes[name].op == "RandomUniform" for name in graph.reach(["answer:0"])) == 2


def test_mask_that_is_used_twice_is_refused() -> None:
    def draw(x: Any) -> Any:
        both = mask(x, 0.5)
        return x / 0.5 * both / 0.5 * both

    _, refused, _ = removed(draw, tf.float32)
    assert len(refused) == 1
    assert re.search(MEETS, refused[0])
