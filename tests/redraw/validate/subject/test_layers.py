"""What is claimed of an untouched graph's layers is tried in its session, and served in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.recorded.chance import Replacement
from redraw.recorded.statistics import Average
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.layers import Layers

tf1 = tf.compat.v1
WIDTH = 3
X = np.linspace(-2, 2, 12).reshape(4, WIDTH).astype(np.float32)


class Values:
    """What a checkpoint holds."""

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        self._values = values

    def has_tensor(self, key: str) -> bool:
        return key in self._values

    def get_tensor(self, key: str) -> np.ndarray:
        return self._values[key]


def claim(tensor: str, by: str, kind: str = "dropout") -> Replacement:
    return Replacement(kind=kind, tensor=tensor, by=by, evidence="claimed")


@contextmanager
def layers_of(
    draw: Callable[[Any], object],
    *claims: Replacement,
    averages: tuple[Average, ...] = (),
    weights: Any = "raw",
    shape: tuple[int | None, ...] = (None, WIDTH),
    **values: Any,
) -> Iterator[tuple[Layers, Any]]:
    """The layers of a small graph, and a function that runs tensors of it as inference would."""
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        tf1.set_random_seed(1)
        x = tf1.placeholder(tf.float32, shape, "x")
        draw(x)
        session.run(tf1.global_variables_initializer())
        names = [one.by for one in claims if one.kind == "batch statistic"]
        redrawn = SimpleNamespace(
            replaced=claims,
            averages=averages,
            variables=[SimpleNamespace(node=name, key=f"saved/{name}") for name in names],
        )
        meta = SimpleNamespace(meta_graph=SimpleNamespace(graph_def=graph.as_graph_def()))
        definition: Any = SimpleNamespace(
            redrawn=redrawn, opened=meta, constants={"flag": True}, inputs={"x": "x"}
        )
        read = Values({f"saved/{name}": np.asarray(value) for name, value in values.items()})
        layers = Layers(session, definition, read, weights)

        def run(name: str, given: np.ndarray) -> np.ndarray:
            tensor = graph.get_tensor_by_name(name)
            flag = {graph.get_tensor_by_name("flag:0"): True}
            return np.asarray(session.run(tensor, layers.settled({x: given, **flag}, [tensor])))

        yield layers, run


def flagged(draw: Callable[[Any], object]) -> Callable[[Any], object]:
    def drawn(x: Any) -> None:
        tf1.placeholder(tf.bool, [], "flag")
        draw(x)

    return drawn


def dropped(x: Any, keep: Any = 0.5, name: str = "dropped") -> Any:
    return tf.multiply(x / keep, tf.floor(keep + tf.random.uniform(tf.shape(x))), name=name)


def test_dropout_is_tried_and_what_follows_is_computed_of_its_data() -> None:
    def draw(x: Any) -> None:
        keep = tf1.placeholder(tf.float32, [], "keep")
        first = tf.tanh(dropped(tf.identity(x, "data"), keep), "between")
        dropped(first, 0.25, "again")
        dropped(tf1.placeholder(tf.float32, [None, 2], "other"), name="of_another")

    # In no order, and one that what is asked does not need.
    claims = claim("again:0", "between:0"), claim("of_another:0", "other:0"), claim("dropped:0", "data:0")
    with layers_of(flagged(draw), *claims) as (_, run):
        np.testing.assert_allclose(run("again:0", X), np.tanh(X), rtol=1e-6)
        np.testing.assert_array_equal(run("dropped:0", X), X)
    with layers_of(flagged(draw), claims[0], claims[2]) as (layers, _):
        x = tf1.get_default_graph().get_tensor_by_name("x:0")
        layers.try_claims({x: np.ones((100, WIDTH), np.float32)})


@pytest.mark.parametrize(
    ("draw", "kind", "holds"),
    [
        (lambda x: tf.add(x, 0.1 * tf.random.normal(tf.shape(x)), name="product"), "Gaussian noise", True),
        (lambda x: tf.add(x, tf.random.uniform(tf.shape(x)), name="product"), "Gaussian noise", False),
        (lambda x: tf.subtract(x, tf.random.uniform(tf.shape(x)), name="product"), "Gaussian noise", False),
        (lambda x: dropped(x * 0.5, name="product"), "dropout", False),
        (lambda x: tf.multiply(x, 1.0 + tf.random.uniform(tf.shape(x)), name="product"), "dropout", False),
        (lambda x: tf.multiply(x, 0.0, name="product"), "dropout", False),
        (lambda x: tf.multiply(x, 1.0, name="product"), "dropout", True),
    ],
)  # fmt: skip
def test_claim_of_chance_that_does_not_hold_is_refused(
    draw: Callable[[Any], Any], kind: str, holds: bool
) -> None:
    with layers_of(flagged(lambda x: draw(tf.identity(x, "data"))), claim("product:0", "data:0", kind)) as (
        layers,
        _,
    ):
        fed = {tf1.get_default_graph().get_tensor_by_name("x:0"): X}
        if holds:
            layers.try_claims(fed)
        else:
            with pytest.raises(CannotRun, match=f"does not show that product:0 is {kind} of data:0"):
                layers.try_claims(fed)


@pytest.mark.parametrize("weights", ["raw", "average"])
@pytest.mark.parametrize("shape", [(1, WIDTH), (WIDTH,)])
def test_statistic_of_the_batch_is_what_the_checkpoint_keeps(shape: tuple[int, ...], weights: str) -> None:
    def draw(x: Any) -> None:
        mean = tf.reduce_mean(x, 0, keepdims=len(shape) == 2, name="mean")
        tf.subtract(x, mean, name="centred")

    values = {"kept": np.float32([1, 2, 3]), "kept/ExponentialMovingAverage": np.float32([4, 5, 6])}
    statistic = claim("mean:0", "kept", "batch statistic")
    with layers_of(flagged(draw), statistic, weights=weights, **values) as (_, run):
        wanted = X - ([1, 2, 3] if weights == "raw" else [4, 5, 6])
        np.testing.assert_allclose(run("centred:0", X), wanted, rtol=1e-6)


@pytest.mark.parametrize("form", ["NHWC", "NCHW"])
def test_fused_normalization_is_that_of_inference(form: str) -> None:
    def draw(x: Any) -> None:
        ones = tf.ones([WIDTH])
        tf1.nn.fused_batch_norm(
            x, ones * 3.0, ones * 0.5, epsilon=0.01, data_format=form, is_training=True, name="norm"
        )

    statistics = [claim(f"norm:{n}", by, "batch statistic") for n, by in ((1, "mean"), (2, "variance"))]
    product = claim("norm:0", "mean", "batch statistic")
    mean, variance = np.float32([1, 2, 3]), np.float32([4, 5, 6])
    x = np.random.default_rng(2).normal(size=(2, 2, 2, WIDTH)).astype(np.float32)
    wanted = (x - mean) / np.sqrt(variance + 0.01) * 3 + 0.5
    if form == "NCHW":
        x, wanted = np.moveaxis(x, -1, 1), np.moveaxis(wanted, -1, 1)
    with layers_of(
        flagged(draw), *statistics, product, shape=(None, *x.shape[1:]), mean=mean, variance=variance
    ) as (_, run):
        np.testing.assert_allclose(run("norm:0", x), wanted, rtol=1e-5)


@pytest.mark.parametrize("resource", [True, False])
@pytest.mark.parametrize(("share", "holds"), [(0.25, True), (1.0, True), (-0.25, False), (2.0, False)])
def test_claim_of_an_average_is_tried_by_its_update(share: float, holds: bool, resource: bool) -> None:
    def draw(x: Any) -> None:
        mean = tf.reduce_mean(x, 0, name="mean")
        kept = tf1.get_variable("kept", [WIDTH], use_resource=resource)
        tf1.assign_add(kept, (mean - kept) * share, name="update")

    with layers_of(flagged(draw)) as (_, _):
        name = next(
            node.name for node in tf1.get_default_graph().as_graph_def().node if node.op.startswith("Assign")
            and "Add" in node.op
        )  # fmt: skip
    average = Average(variable="kept", statistic="mean:0", assignment=name, share=0.25)
    statistic = claim("mean:0", "kept", "batch statistic")
    with layers_of(flagged(draw), statistic, averages=(average,)) as (layers, _):
        fed = {tf1.get_default_graph().get_tensor_by_name("x:0"): X}
        if holds:
            layers.try_claims(fed)
            layers.try_claims(fed)
        else:
            with pytest.raises(CannotRun, match="does not show that kept averages mean:0"):
                layers.try_claims(fed)


def test_claim_inside_of_a_function_cannot_be_tried() -> None:
    with (
        pytest.raises(CannotRun, match="absent:0 is inside a function of the recorded graph"),
        layers_of(flagged(lambda x: x), claim("absent:0", "x:0")),
    ):
        pass
