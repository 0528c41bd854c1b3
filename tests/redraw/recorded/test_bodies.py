"""Branches and loops in graphs of a few operations: which are taken, and what is in their functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.recorded.batch import free_batch
from redraw.recorded.bodies import free_bodies, redraw_bodies
from redraw.recorded.branches import inline_calls, resolve_branches
from redraw.recorded.graph import INPUT, Graph
from redraw.recorded.shapes import infer_shapes
from tests.redraw.recorded.old_graphs import era

tf1 = tf.compat.v1
Draw = Callable[[Any, Any], Any]
WIDTH = 3
X = f"{INPUT}x"


@pytest.fixture(params=["v1", "v2"])
def flow(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def graph_of(draw: Draw, flow: str, rows: int | None = None) -> Graph:
    with era("resource", flow):
        x, flag = tf1.placeholder(tf.float32, [rows, WIDTH], X), tf1.placeholder(tf.bool, [], "flag")
        tf.identity(draw(x, flag), "answer")
        drawn = tf1.get_default_graph().as_graph_def()
    functions = {function.signature.name: function for function in drawn.library.function}
    graph = Graph(drawn.node, functions, "a test")
    graph.shapes = infer_shapes(graph, ["answer:0"], {f"{X}:0": (rows, WIDTH), "flag:0": ()})
    return graph


def ask(graph: Graph, x: np.ndarray, **given: Any) -> np.ndarray:
    with tf.Graph().as_default() as asked, tf1.Session(graph=asked) as session:
        tf.import_graph_def(graph.part(graph.reach(["answer:0"])), name="")
        fed = {f"{X}:0": x, **{f"{name}:0": value for name, value in given.items()}}
        return np.asarray(session.run(graph.resolve("answer:0"), fed))


def nested(x: Any, flag: Any) -> Any:
    return tf1.cond(
        flag,
        lambda: tf1.cond(tf.logical_not(flag), lambda: x * 5.0, lambda: x * 7.0),
        lambda: tf1.cond(flag, lambda: x * 11.0, lambda: tf.constant(13.0) + x * 0.0),
    )


def two_of_them(x: Any, flag: Any) -> Any:
    first, second = tf1.cond(flag, lambda: (x * 2.0, x * 3.0), lambda: (x * 5.0, x * 7.0))
    return first + second


BRANCHES: dict[str, tuple[Draw, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "data": (
        lambda x, flag: tf1.cond(flag, lambda: x * 2.0, lambda: x * 3.0), lambda x: 2 * x, lambda x: 3 * x),
    "constants": (
        lambda x, flag: x * tf1.cond(flag, lambda: tf.constant(2.0), lambda: tf.constant(3.0)),
        lambda x: 2 * x, lambda x: 3 * x),
    "nested": (nested, lambda x: 7 * x, lambda x: 13 + 0 * x),
    "two of them": (two_of_them, lambda x: 5 * x, lambda x: 12 * x),
}  # fmt: skip


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("kind", BRANCHES)
def test_branch_of_a_flag_that_is_known_takes_the_place_of_both(kind: str, value: bool, flow: str) -> None:
    draw, *wanted = BRANCHES[kind]
    graph = graph_of(draw, flow)
    graph.replaced["flag:0"] = graph.add_constant("known", value)
    counts = inline_calls(graph, ["answer:0"])
    resolved = resolve_branches(graph, ["answer:0"])
    x = np.arange(6, dtype=np.float32).reshape(2, WIDTH)
    np.testing.assert_array_equal(ask(graph, x), wanted[not value](x))
    left = {graph.nodes[name].op for name in graph.reach(["answer:0"])}
    assert left.isdisjoint({"Merge", "If", "StatelessIf"})
    assert resolved + counts["branches"] == {"nested": 2, "two of them": 2 if flow == "v1" else 1}.get(
        kind, 1
    )
    assert (resolved > 0) == (flow == "v1")


def test_branch_of_a_flag_that_is_not_known_stays(flow: str) -> None:
    graph = graph_of(nested, flow)
    assert (inline_calls(graph, ["answer:0"]).total(), resolve_branches(graph, ["answer:0"])) == (0, 0)
    assert graph.replaced == {}


@pytest.mark.parametrize(("index", "wanted"), [(0, 2), (1, 3), (2, 5), (7, 5), (-1, 5)])
def test_case_of_a_known_index_takes_the_last_branch_for_any_other(index: int, wanted: int) -> None:
    def draw(x: Any, flag: Any) -> Any:
        return tf.switch_case(tf.constant(index), [lambda: x * 2.0, lambda: x * 3.0, lambda: x * 5.0])

    graph = graph_of(draw, "v2")
    assert inline_calls(graph, ["answer:0"])["branches"] == 1
    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_array_equal(ask(graph, x), x * wanted)


def test_calls_are_put_in_place_however_deep() -> None:
    @tf.function
    def inner(x: Any) -> Any:
        return x * 2.0, x * 3.0

    @tf.function
    def outer(x: Any) -> Any:
        first, second = inner(x)
        return first, second + inner(x)[1]

    graph = graph_of(lambda x, flag: outer(x)[1] - outer(x)[0], "v2")
    assert inline_calls(graph, ["answer:0"]) == {"calls": 5}  # one of inner is of no use
    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_array_equal(ask(graph, x), x * 4)


def dropped(x: Any, keep: float = 0.5) -> Any:
    return x / keep * tf.floor(keep + tf.random.uniform(tf.shape(x)))


def loop(x: Any, step: Callable[[Any], Any], times: int = 3) -> Any:
    def body(time: Any, state: Any, unused: Any) -> tuple[Any, Any, Any]:
        return time + 1, tf.ensure_shape(step(state), state.shape), unused + tf.random.uniform([])

    return tf1.while_loop(lambda time, *_: time < times, body, (0, x, 0.0))[1]


def test_dropout_in_the_function_of_a_loop_is_taken_out_and_what_nobody_reads() -> None:
    graph = graph_of(lambda x, flag: loop(x, lambda state: dropped(state + 1.0)), "v2")
    done, refused = redraw_bodies(graph, ["answer:0"], ())
    assert refused == []
    assert [one.kind for one in done] == ["dropout"]
    assert done[0].function.startswith("while_body")
    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_allclose(ask(graph, x), x + 3)
    (served,) = (graph.nodes[name] for name in graph.reach(["answer:0"]) if "While" in graph.nodes[name].op)
    before = next(node for node in graph.nodes.values() if f"{node.name}/served" == served.name)
    assert len(before.attr["T"].list.type) - len(served.attr["T"].list.type) >= 1
    assert (
        len(served.attr["output_shapes"].list.shape) == len(served.attr["T"].list.type) == len(served.input)
    )


def test_dropout_in_the_function_of_a_branch_is_taken_out_and_what_nobody_reads() -> None:
    def draw(x: Any, flag: Any) -> Any:
        branches = (
            lambda: (dropped(x), tf.random.uniform([])),
            lambda: (dropped(x, 0.25) * 3.0, tf.constant(1.0)),
        )
        return tf1.cond(flag, *branches)[0]

    graph = graph_of(draw, "v2")
    done, refused = redraw_bodies(graph, ["answer:0"], ())
    assert refused == []
    assert sorted(one.function.rpartition("_")[0] for one in done) == ["cond_false", "cond_true"]
    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_allclose(ask(graph, x, flag=True), x)
    np.testing.assert_allclose(ask(graph, x, flag=False), 3 * x)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda state: state * tf.random.uniform([]), r"RandomUniform '.*' is combined with data in '.*'"),
        (
            lambda state: tf.reshape(
                tf1.nn.fused_batch_norm(
                    state[:, None, None], tf.ones([WIDTH]), tf.ones([WIDTH]), is_training=True
                )[0],
                tf.shape(state),
            ),
            r"'.*' normalizes with the batch's statistics inside a function",
        ),
    ],
    ids=["chance", "statistics"],
)
def test_what_trains_in_the_function_of_a_loop_is_refused_with_its_place(
    step: Callable[[Any], Any], message: str
) -> None:
    graph = graph_of(lambda x, flag: loop(x, step), "v2")
    done, refused = redraw_bodies(graph, ["answer:0"], ())
    assert done == []
    assert len(refused) == 1
    place = r" \(in the function 'while_body_\d+' of (Stateless)?While 'while(/served)?'\)$"
    assert re.search(message + ".*" + place, refused[0]), refused


def test_loop_without_chance_stays_as_it_is_but_for_what_nobody_reads() -> None:
    graph = graph_of(lambda x, flag: loop(x, lambda state: state * 2.0), "v2")
    assert redraw_bodies(graph, ["answer:0"], ()) == ([], [])
    x = np.ones((2, WIDTH), np.float32)
    np.testing.assert_allclose(ask(graph, x), 8 * x)


def test_size_of_the_batch_in_functions_is_freed() -> None:
    def draw(x: Any, flag: Any) -> Any:
        turned = loop(x, lambda state: tf.reshape(tf.reshape(state, [16 * WIDTH]), [16, WIDTH]) + 1.0)
        return tf1.cond(flag, lambda: tf.reshape(turned, [16, WIDTH, 1]), lambda: turned[..., None] * 2.0)

    graph = graph_of(draw, "v2", 16)
    shapes = infer_shapes(graph, ["answer:0"], {f"{X}:0": (16, WIDTH), "flag:0": ()})
    freed = free_batch(graph, ["answer:0"], 16, shapes) + free_bodies(graph, ["answer:0"], 16)
    assert freed >= 4
    graph.nodes[X].attr["shape"].shape.dim[0].size = -1
    x = np.ones((7, WIDTH), np.float32)
    np.testing.assert_allclose(ask(graph, x, flag=True), (x + 3)[..., None])
    np.testing.assert_allclose(ask(graph, x, flag=False), (x + 3)[..., None] * 2)
