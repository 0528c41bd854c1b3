"""Moving averages of statistics of the batch, in graphs of a few operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.training import moving_averages

from redraw.recorded.batch import data_nodes
from redraw.recorded.graph import INPUT, Graph
from redraw.recorded.shapes import infer_shapes
from redraw.recorded.statistics import Average, find_averages, serve_averages

tf1 = tf.compat.v1
WIDTH = 3
Update = Callable[[Any, Any], Any]


@pytest.fixture(params=[True, False], ids=["resource", "reference"])
def resource(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def variable(name: str, resource: bool, shape: tuple[int, ...] = (WIDTH,), **more: Any) -> Any:
    more = {"initializer": tf1.constant_initializer(0.5), "dtype": tf.float32} | more
    return tf1.get_variable(name, shape, use_resource=resource, trainable=False, **more)


def graph_of(draw: Callable[[Any], Any], shape: tuple[int | None, ...] = (None, WIDTH)) -> Graph:
    with tf.Graph().as_default() as drawn:
        x = tf1.placeholder(tf.float32, shape, f"{INPUT}x")
        tf.identity(draw(x), "answer")
    graph = Graph(drawn.as_graph_def().node, {}, "a test")
    graph.shapes = infer_shapes(graph, ["answer:0"], {f"{INPUT}x:0": shape})
    return graph


def averages_of(graph: Graph) -> dict[str, list[Average]]:
    return find_averages(graph, ["answer:0"], data_nodes(graph))


def centred(update: Update, resource: bool, **more: Any) -> Graph:
    """What is less the mean of its batch, of which a variable keeps an average."""

    def draw(x: Any) -> Any:
        mean = tf.reduce_mean(x, 0, name="mean")
        update(variable("kept", resource, **more), mean)
        return x - mean

    return graph_of(draw)


KEPT: dict[str, tuple[Update, float]] = {
    "subtracted": (lambda kept, mean: tf1.assign_sub(kept, (kept - mean) * 0.1), 0.1),
    "added": (lambda kept, mean: tf1.assign_add(kept, (mean - kept) * 0.25), 0.25),
    "set": (lambda kept, mean: tf1.assign(kept, kept * 0.8 + mean * 0.2), 0.2),
    "of TensorFlow": (
        lambda kept, mean: moving_averages.assign_moving_average(kept, mean, 0.9, zero_debias=False), 0.1),
    "corrected": (lambda kept, mean: tf1.assign(kept, kept * 0.8 + mean * 1.05 * 0.2), 0.21),
    "read twice": (lambda kept, mean: tf1.assign(kept, mean * 0.2 + tf.add(kept, kept) * 0.4), 0.2),
    "the last one": (lambda kept, mean: tf1.assign(kept, mean), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
def test_average_of_any_form_is_found_and_served(kind: str, resource: bool) -> None:
    update, share = KEPT[kind]
    graph = centred(update, resource)
    found = averages_of(graph)
    assert [*found] == ["mean:0"]
    (average,) = found["mean:0"]
    assert (average.variable, average.statistic) == ("kept", "mean:0")
    assert average.share == pytest.approx(share, rel=1e-4)
    assert np.asarray(average.initial).tolist() == [0.5] * WIDTH
    done, used, refused = serve_averages(graph, ["answer:0"], found)
    assert (used, refused) == ([average], [])
    assert [(one.kind, one.tensor, one.by) for one in done] == [("batch statistic", "mean:0", "kept")]
    assert done[0].evidence == f"'{average.assignment}' moves the average by {share:.4g} of the way"
    assert graph.replaced == {"mean:0": "kept/served:0"}
    served = graph.nodes["kept/served"]
    assert (served.op, *graph.inputs["kept/served"]) == (
        "ReadVariableOp" if resource else "Identity",
        "kept:0",
    )


def test_statistics_that_are_not_served_or_ambiguous_keep_no_other_from_its_average() -> None:
    graph = centred(lambda kept, mean: tf1.assign(kept, kept * 0.9 + mean * 0.1), True)
    found = averages_of(graph)
    (average,) = found["mean:0"]
    unserved, ambiguous = f"{average.assignment}:0", "answer:0"
    first = {
        unserved: [replace(average, statistic=unserved)],
        ambiguous: [replace(average, statistic=ambiguous, variable=name) for name in ("one", "two")],
    }
    done, used, refused = serve_averages(graph, ["answer:0"], first | found)
    assert [replacement.tensor for replacement in done] == ["mean:0"]
    assert used == [average]
    assert refused == ["'answer:0' has several moving averages ('one', 'two')"]


NOT_KEPT: dict[str, Update] = {
    "half of it": lambda kept, mean: tf1.assign(kept, kept * 0.5 + mean * 0.1),
    "more than it": lambda kept, mean: tf1.assign(kept, kept * -0.1 + mean * 1.1),
    "away from it": lambda kept, mean: tf1.assign(kept, kept * 1.1 - mean * 0.1),
    "its square": lambda kept, mean: tf1.assign(kept, kept * 0.9 + tf.square(mean) * 0.1),
    "itself": lambda kept, mean: tf1.assign(kept, kept * 0.9 + 0.1),
    "with another": lambda kept, mean: tf1.assign(
        kept, kept * 0.9 + mean * 0.1 * tf1.get_variable("other", [WIDTH], use_resource=True)
    ),
}


@pytest.mark.parametrize("kind", NOT_KEPT)
def test_update_that_is_no_average_is_none(kind: str) -> None:
    graph = centred(NOT_KEPT[kind], True)
    assert averages_of(graph) == {}
    assert serve_averages(graph, ["answer:0"], {}) == ([], [], [])


def test_average_by_a_rate_in_a_variable_of_another_shape_or_without_a_start() -> None:
    def rated(kept: Any, mean: Any) -> None:
        rate = tf1.get_variable("rate", [], use_resource=True)
        tf1.assign(kept, kept + tf.reshape(mean - tf.reshape(kept, [-1]), [1, WIDTH]) * (0.1 * rate))

    graph = centred(rated, True, shape=(1, WIDTH), initializer=tf1.random_normal_initializer())
    found = averages_of(graph)
    (average,) = found["mean:0"]
    assert average.share == pytest.approx(0.3)  # tried with a rate of 3
    assert average.initial is None
    done, _, refused = serve_averages(graph, ["answer:0"], found)
    assert (len(done), refused) == (1, [])
    assert graph.replaced == {"mean:0": "kept/served/shaped:0"}
    assert graph.inputs["kept/served/shaped"] == ["kept/served:0", "kept/served/shape:0"]


def test_unbiased_average_is_served_instead_of_the_one_it_is_made_of(resource: bool) -> None:
    graph = centred(
        lambda kept, mean: moving_averages.assign_moving_average(kept, mean, 0.9, zero_debias=True), resource
    )
    found = averages_of(graph)
    shares = {average.variable: average.share for average in found["mean:0"]}
    assert shares == {"kept/biased": pytest.approx(0.1), "kept": 0.0}
    done, used, refused = serve_averages(graph, ["answer:0"], found)
    assert ([average.variable for average in used], refused) == (["kept"], [])
    assert done[0].evidence.endswith("is its unbiased average")


def test_several_averages_of_one_statistic_are_refused_by_their_names() -> None:
    def update(kept: Any, mean: Any) -> None:
        for each in (kept, variable("slow", True)):
            tf1.assign_sub(each, (each - mean) * 0.1)

    graph = centred(update, True)
    done, used, refused = serve_averages(graph, ["answer:0"], averages_of(graph))
    assert (done, used) == ([], [])
    assert refused == ["'mean:0' has several moving averages ('kept', 'slow')"]
    assert graph.replaced == {}


def test_average_that_corrects_the_statistic_itself_is_refused() -> None:
    def draw(x: Any) -> Any:
        mean, kept, fast = tf.reduce_mean(x, 0, name="mean"), variable("kept", True), variable("fast", True)
        for each in (kept, fast):
            tf1.assign_sub(each, (each - mean) * 0.1)
        return x - mean + tf.clip_by_value(mean - fast, -1.0, 1.0)

    graph = graph_of(draw)
    _, used, refused = serve_averages(graph, ["answer:0"], averages_of(graph))
    assert used == []
    assert refused == ["'mean:0' is corrected with its own average 'fast' (batch renormalization)"]


def test_statistic_that_the_outputs_do_not_need_is_left_alone() -> None:
    def draw(x: Any) -> Any:
        mean = tf.reduce_mean(x, 0, name="mean")
        tf1.assign_sub(kept := variable("kept", True), (kept - mean) * 0.1)
        return x

    graph = graph_of(draw)
    average = Average(variable="kept", statistic="mean:0", assignment="a", share=0.1)
    assert serve_averages(graph, ["answer:0"], {"mean:0": [average]}) == ([], [], [])


def fused(*kept: str, trains: bool = True) -> Graph:
    def draw(x: Any) -> Any:
        ones, given = (
            tf.ones([WIDTH]),
            {} if trains else {"mean": tf.zeros([WIDTH]), "variance": tf.ones([WIDTH])},
        )
        y, mean, variance = tf1.nn.fused_batch_norm(x, ones, ones, is_training=trains, name="norm", **given)
        for name, statistic in (("mean", mean), ("variance", variance)):
            if name in kept:
                tf1.assign_sub(each := variable(name, True), (each - statistic) * 0.1)
        return y

    return graph_of(draw, (None, 2, 2, WIDTH))


def test_fused_normalization_uses_its_averages_and_trains_no_more() -> None:
    graph = fused("mean", "variance")
    done, used, refused = serve_averages(graph, ["answer:0"], averages_of(graph))
    assert ([one.by for one in done], refused) == (["mean", "variance"], [])
    (node,) = (node for node in graph.nodes.values() if node.op.startswith("FusedBatchNorm"))
    assert not node.attr["is_training"].b
    assert graph.inputs[node.name][3:] == ["mean/served:0", "variance/served:0"]
    assert graph.replaced == {}
    assert len(used) == 2


@pytest.mark.parametrize(
    ("kept", "lacking"), [((), "mean and variance"), (("mean",), "variance"), (("variance",), "mean")]
)
def test_fused_normalization_without_its_averages_is_refused(kept: tuple[str, ...], lacking: str) -> None:
    graph = fused(*kept)
    _, _, refused = serve_averages(graph, ["answer:0"], averages_of(graph))
    assert len(refused) == 1
    assert refused[0].endswith(
        f"normalizes with the batch's statistics, and has no moving average of its {lacking}"
    )


def test_fused_normalization_that_does_not_train_is_as_it_was() -> None:
    graph = fused(trains=False)
    assert serve_averages(graph, ["answer:0"], averages_of(graph)) == ([], [], [])
