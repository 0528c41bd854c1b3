"""Training graphs as people wrote them from 2016 to 2020, and in NumPy what each has to answer."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.training import moving_averages

tf1 = tf.compat.v1

WIDTH, HIDDEN, CLASSES, BATCH, TIMES = 5, 8, 3, 16, 3
EPSILON = 1e-3

SOURCES = ("placeholder", "queue", "iterator", "head")
DROPOUTS = ("floor", "greater", "select")
PLACES = ("constant", "placeholder", "cond", "loop")
NORMS = ("fused", "unfused", "none")
VARIABLES = ("reference", "resource")
FLOWS = ("v1", "v2")


@dataclass(frozen=True)
class Case:
    """One way to write the same network."""

    source: str = "placeholder"
    dropout: str = "select"
    place: str = "constant"
    norm: str = "none"
    variables: str = "resource"
    flow: str = "v1"

    def __str__(self) -> str:
        return "-".join((self.source, self.dropout, self.place, self.norm, self.variables, self.flow))


def every_case() -> list[Case]:
    """All combinations: 576."""
    return [Case(*values) for values in itertools.product(SOURCES, DROPOUTS, PLACES, NORMS, VARIABLES, FLOWS)]


@dataclass
class Recorded:
    """A graph that was trained a little and saved."""

    meta: Path
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=lambda: {"probabilities": "probabilities"})
    constants: dict[str, Any] = field(default_factory=dict)

    @property
    def prefix(self) -> Path:
        """The checkpoint."""
        return self.meta.with_suffix("")

    def weight(self, name: str) -> np.ndarray:
        """A variable's value."""
        return tf.train.load_checkpoint(str(self.prefix)).get_tensor(name)


@contextlib.contextmanager
def era(variables: str, flow: str) -> Iterator[None]:
    """TensorFlow's global switches, and back."""
    resource, v2 = tf1.resource_variables_enabled(), tf1.control_flow_v2_enabled()
    _switch(variables == "resource", flow == "v2")
    try:
        with tf.Graph().as_default():
            tf1.set_random_seed(1)
            yield
    finally:
        _switch(resource, v2)


def _switch(resource: bool, v2: bool) -> None:
    (tf1.enable_resource_variables if resource else tf1.disable_resource_variables)()
    (tf1.enable_control_flow_v2 if v2 else tf1.disable_control_flow_v2)()


def dropout(x: Any, keep: Any, form: str) -> Any:
    """Three generations of `tf.nn.dropout`."""
    if form == "select":
        return tf.nn.dropout(x, rate=1 - keep)
    uniform = tf.random.uniform(tf.shape(x), dtype=x.dtype)
    if form == "floor":
        return tf.divide(x, keep) * tf.floor(keep + uniform)
    return x * (1 / keep) * tf.cast(uniform >= 1 - keep, x.dtype)


def variable(name: str, shape: list[int], initializer: Any = None, trainable: bool = True) -> Any:
    """A variable by the name that old code knows it by."""
    initializer = initializer or tf1.random_normal_initializer(stddev=0.7, seed=len(name))
    return tf1.get_variable(name, shape, initializer=initializer, trainable=trainable)


def normalize(h: Any, form: str, scope: str = "bn", update: bool = True) -> Any:
    """Batch normalization with training baked in."""
    size = [int(h.shape[-1])]
    with tf1.variable_scope(scope):
        gamma = variable("gamma", size, tf1.random_uniform_initializer(0.5, 1.5, seed=3))
        beta = variable("beta", size)
        mean = variable("moving_mean", size, tf1.zeros_initializer(), trainable=False)
        variance = variable("moving_variance", size, tf1.ones_initializer(), trainable=False)
    if form == "fused":
        grown = h[:, None, None, :]
        out, batch_mean, batch_variance = tf1.nn.fused_batch_norm(
            grown, gamma, beta, epsilon=EPSILON, is_training=True
        )
        out = tf.reshape(out, tf.shape(h))
        out.set_shape(h.shape)
    else:
        batch_mean, batch_variance = tf.nn.moments(h, [0])
        out = tf.nn.batch_normalization(h, batch_mean, batch_variance, beta, gamma, EPSILON)
    if update:
        for kept, statistic in ((mean, batch_mean), (variance, batch_variance)):
            moved = moving_averages.assign_moving_average(kept, statistic, 0.8, zero_debias=False)
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, moved)
    return out


def normalized(h: np.ndarray, recorded: Recorded, scope: str = "bn") -> np.ndarray:
    """Its inference value."""
    gamma, beta, mean, variance = (
        recorded.weight(f"{scope}/{name}") for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (h - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def _source(case: Case, rng: Any) -> tuple[Any, Any, dict[str, str], Callable[[], dict[Any, Any]]]:
    """Data, labels, where a request enters, and what to feed while training."""
    data, labels = rng.normal(size=(64, WIDTH)).astype(np.float32), rng.integers(0, CLASSES, 64)
    if case.source == "placeholder":
        x = tf1.placeholder(tf.float32, [None, WIDTH], "x")
        label = tf1.placeholder(tf.int64, [None], "label")
        return x, label, {"x": "x"}, lambda: {x: data[:BATCH], label: labels[:BATCH]}
    if case.source == "queue":
        queue = tf1.FIFOQueue(64, [tf.float32, tf.int64], [[WIDTH], []])
        enqueue = queue.enqueue_many([tf.constant(data), tf.constant(labels)])
        tf1.add_to_collection("fill", enqueue)
        x, label = queue.dequeue_many(BATCH)
        return x, label, {"x": x.name}, dict
    if case.source == "iterator":
        rows = tf1.data.Dataset.from_tensor_slices((data, labels)).repeat().batch(BATCH, drop_remainder=True)
        x, label = tf1.data.make_one_shot_iterator(rows).get_next()
        return x, label, {"x": x.name}, dict
    queue = tf1.FIFOQueue(64, [tf.float32, tf.float32, tf.int64], [[2], [WIDTH - 2], []])
    columns = [tf.constant(data[:, :2]), tf.constant(data[:, 2:]), tf.constant(labels)]
    tf1.add_to_collection("fill", queue.enqueue_many(columns))
    a, b, label = queue.dequeue_up_to(BATCH)
    with tf1.control_dependencies([tf1.assert_greater_equal(label, tf.constant(0, tf.int64))]):
        return tf.concat([a, b], 1), label, {"a": a.name, "b": b.name}, dict


def record(case: Case, folder: Path, *, updates: bool = True, seed: int = 0) -> Recorded:
    """Draw a case, train it for three steps, save it; the seed is that of the data."""
    rng = np.random.default_rng(seed)
    with era(case.variables, case.flow):
        x, label, inputs, feed = _source(case, rng)
        constants: dict[str, Any] = {}
        hidden = tf.tanh(tf.matmul(x, variable("in/kernel", [WIDTH, HIDDEN])) + variable("in/bias", [HIDDEN]))
        if case.norm != "none":
            hidden = normalize(hidden, case.norm)
        hidden, more = _dropped(case, hidden, constants)
        logits = tf.matmul(hidden, variable("out/kernel", [HIDDEN, CLASSES]))
        tf.nn.softmax(logits, name="probabilities")
        train_and_save(label, logits, folder, lambda: {**feed(), **more}, updates)
    return Recorded(meta=folder / "model.ckpt-3.meta", inputs=inputs, constants=constants)


def _dropped(case: Case, hidden: Any, constants: dict[str, Any]) -> tuple[Any, dict[Any, Any]]:
    if case.place == "constant":
        return dropout(hidden, 0.6, case.dropout), {}
    if case.place == "placeholder":
        keep = tf1.placeholder(tf.float32, (), "keep_prob")
        constants["keep_prob"] = 1.0
        return dropout(hidden, keep, case.dropout), {keep: 0.5}
    if case.place == "cond":
        training = tf1.placeholder(tf.bool, (), "is_training")
        constants["is_training"] = False
        dropped = tf1.cond(training, lambda: dropout(hidden, 0.6, case.dropout), lambda: tf.identity(hidden))
        dropped.set_shape(hidden.shape)
        return dropped, {training: True}
    kernel = variable("loop/kernel", [HIDDEN, HIDDEN])

    def step(time: Any, state: Any) -> tuple[Any, Any]:
        moved = dropout(tf.tanh(tf.matmul(state, kernel)), 0.6, case.dropout)
        return time + 1, tf.ensure_shape(moved, state.shape)

    return tf1.while_loop(lambda time, state: time < TIMES, step, (0, hidden))[1], {}


def train_and_save(
    label: Any, logits: Any, folder: Path, feed: Callable[[], Mapping[Any, Any]], updates: bool = True
) -> None:
    """Three steps of a gradient descent with averages and a summary, then a Saver's files."""
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits))
    step = tf1.train.get_or_create_global_step()
    tf1.summary.scalar("loss", loss)
    with tf1.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS) if updates else []):
        descend = tf1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, global_step=step)
    average = tf1.train.ExponentialMovingAverage(0.9)
    with tf1.control_dependencies([descend]):
        train = average.apply(tf1.trainable_variables())
    folder.mkdir(parents=True, exist_ok=True)
    with tf1.Session() as session:
        for made in tf1.global_variables():  # one by one: averages begin with the values of others
            session.run(made.initializer)
        session.run([tf1.local_variables_initializer(), tf1.tables_initializer()])
        for fill in tf1.get_collection("fill"):
            session.run(fill)
        for _ in range(3):
            session.run(train, feed())
        tf1.train.Saver().save(session, str(folder / "model.ckpt"), 3)


def expected(case: Case, recorded: Recorded, request: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the network answers without training, only from the checkpoint's values."""
    x = request["x"] if "x" in request else np.concatenate([request["a"], request["b"]], 1)
    hidden = np.tanh(x @ recorded.weight("in/kernel") + recorded.weight("in/bias"))
    if case.norm != "none":
        hidden = normalized(hidden, recorded)
    for _ in range(TIMES if case.place == "loop" else 0):
        hidden = np.tanh(hidden @ recorded.weight("loop/kernel"))
    return softmax(hidden @ recorded.weight("out/kernel"))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of the last dimension."""
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)
