"""What a redrawn graph may hold and what it refuses: each by name, none exported wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.definition import TensorSpec
from redraw.errors import InvalidDefinition
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.untouched import UntouchedReference
from tests.redraw.recorded.asking import ask, definition_of, request_of
from tests.redraw.recorded.old_graphs import (
    CLASSES,
    HIDDEN,
    WIDTH,
    Recorded,
    dropout,
    era,
    normalize,
    normalized,
    softmax,
    train_and_save,
    variable,
)

tf1 = tf.compat.v1

Layer = Callable[[Any], Any]


@pytest.fixture(params=["reference", "resource"])
def variables(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param


def recorded_with(
    layer: Layer,
    folder: Path,
    variables: str = "resource",
    *,
    updates: bool = True,
    batch: int | None = None,
) -> Recorded:
    """One dense layer, what is under test, and an output layer."""
    rng = np.random.default_rng(2)
    with era(variables, "v1"):
        x = tf1.placeholder(tf.float32, [batch, WIDTH], "x")
        label = tf1.placeholder(tf.int64, [batch], "label")
        hidden = layer(tf.tanh(tf.matmul(x, variable("in/kernel", [WIDTH, HIDDEN]))))
        logits = tf.matmul(hidden, variable("out/kernel", [HIDDEN, CLASSES]))
        tf.nn.softmax(logits, name="probabilities")
        feed = {x: rng.normal(size=(16, WIDTH)), label: rng.integers(0, CLASSES, 16)}
        for placeholder in tf1.get_collection("flags"):
            feed[placeholder] = True
        train_and_save(label, logits, folder, lambda: feed, updates)
    return Recorded(meta=folder / "model.ckpt-3.meta", inputs={"x": "x"})


def answers(
    recorded: Recorded, inference: Callable[[np.ndarray], np.ndarray], **more: Any
) -> tuple[Any, Any]:
    """What the redrawn graph answers, and what NumPy does with `inference` for the layer under test."""
    request = request_of(recorded, 6)
    hidden = np.tanh(request["x"] @ recorded.weight("in/kernel"))
    wanted = softmax(inference(hidden) @ recorded.weight("out/kernel"))
    return ask(definition_of(recorded, **more), recorded, request)["probabilities"], wanted


def alpha_dropout(x: Any, rate: float = 0.3) -> Any:
    low = -1.7580993408473766
    kept = tf.cast(tf.random.uniform(tf.shape(x)) >= rate, tf.float32)
    scale = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    return scale * (x * kept + low * (1 - kept)) - scale * low * rate


NOISES: dict[str, Layer] = {
    "alpha dropout": alpha_dropout,
    "Gaussian noise": lambda x: x + tf.random.normal(tf.shape(x), stddev=0.3),
    "Gaussian dropout": lambda x: x * tf.random.normal(tf.shape(x), mean=1.0, stddev=0.5),
    "truncated noise": lambda x: x + 0.2 * tf.random.truncated_normal(tf.shape(x)),
    "dropout of whole rows": lambda x: tf.nn.dropout(x, rate=0.5, noise_shape=[tf.shape(x)[0], 1]),
    "stateless dropout": lambda x: tf.nn.experimental.stateless_dropout(x, 0.4, seed=[1, 2]),
    "one mask for two": lambda x: sum(shared_mask(x, tf.square(x))),
    "a rate in a variable": lambda x: dropout(
        x, variable("keep", [], tf1.constant_initializer(0.5), trainable=False), "floor"
    ),
}


def shared_mask(first: Any, second: Any) -> tuple[Any, Any]:
    mask = tf.floor(0.5 + tf.random.uniform(tf.shape(first)))
    return first / 0.5 * mask, second / 0.5 * mask


@pytest.mark.parametrize("kind", NOISES)
def test_redraw_of_noise_answers_without_it(kind: str, tmp_path: Path) -> None:
    recorded = recorded_with(NOISES[kind], tmp_path)

    got, wanted = answers(recorded, (lambda h: h + h**2) if kind == "one mask for two" else (lambda h: h))

    np.testing.assert_allclose(got, wanted, atol=3e-6)


def zero_debiased(h: Any) -> Any:
    """Batch statistics whose averages make up for their start at zero, as contrib wrote them."""
    from tensorflow.python.training import moving_averages

    mean = variable("mean", [HIDDEN], tf1.zeros_initializer(), trainable=False)
    square = variable("square", [HIDDEN], tf1.zeros_initializer(), trainable=False)
    batch_mean, batch_square = tf.reduce_mean(h, 0), tf.reduce_mean(tf.square(h), 0)
    for kept, statistic in ((mean, batch_mean), (square, batch_square)):
        moved = moving_averages.assign_moving_average(kept, statistic, 0.8, zero_debias=True)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, moved)
    return (h - batch_mean) * tf1.rsqrt(batch_square + 1.0)


def by_hand(h: Any) -> Any:
    """Averages that are set, not subtracted from, as many wrote them."""
    mean = variable("mean", [HIDDEN], tf1.zeros_initializer(), trainable=False)
    square = variable("square", [HIDDEN], tf1.zeros_initializer(), trainable=False)
    batch_mean, batch_square = tf.reduce_mean(h, 0), tf.reduce_mean(tf.square(h), 0)
    for kept, statistic in ((mean, batch_mean), (square, batch_square)):
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, tf1.assign(kept, kept * 0.9 + statistic * 0.1))
    return (h - batch_mean) * tf1.rsqrt(batch_square + 1.0)


@pytest.mark.parametrize("layer", [zero_debiased, by_hand])
def test_redraw_of_averages_of_other_forms_serves_them(layer: Layer, variables: str, tmp_path: Path) -> None:
    recorded = recorded_with(layer, tmp_path, variables)

    got, wanted = answers(
        recorded, lambda h: (h - recorded.weight("mean")) / np.sqrt(recorded.weight("square") + 1.0)
    )

    np.testing.assert_allclose(got, wanted, atol=3e-6)


def two_norms_swapped(h: Any) -> Any:
    """The second layer's statistics move the first one's variables, and the other way round."""
    return normalize(normalize(h, "unfused", "one"), "unfused", "two")


def test_redraw_of_two_normalizations_gives_each_its_own_averages(variables: str, tmp_path: Path) -> None:
    recorded = recorded_with(two_norms_swapped, tmp_path, variables)

    got, wanted = answers(recorded, lambda h: normalized(normalized(h, recorded, "one"), recorded, "two"))

    np.testing.assert_allclose(got, wanted, atol=3e-6)


def test_proof_of_swapped_averages_fails(tmp_path: Path) -> None:
    definition = definition_of(recorded := recorded_with(two_norms_swapped, tmp_path))
    redrawn = definition.redrawn
    one, two = (
        next(a for a in redrawn.averages if a.variable == f"{scope}/moving_mean") for scope in ("one", "two")
    )
    swapped = {one.variable: two.statistic, two.variable: one.statistic}
    claims = tuple(replace(c, tensor=swapped.get(c.by, c.tensor)) for c in redrawn.replaced)
    averages = tuple(replace(a, statistic=swapped.get(a.variable, a.statistic)) for a in redrawn.averages)
    definition.__dict__["redrawn"] = replace(redrawn, replaced=claims, averages=averages)

    reference = UntouchedReference(definition, "raw")
    with pytest.raises(CannotRun, match="does not show that .*moving_mean averages"):
        reference.restore(recorded.prefix)
    reference.close()


def _unscaled(x: Any) -> Any:
    return x * tf.floor(0.6 + tf.random.uniform(tf.shape(x)))


def _twice(x: Any) -> Any:
    mask = tf.floor(0.5 + tf.random.uniform(tf.shape(x)))
    return x / 0.5 * mask / 0.5 * mask


def _sampled(x: Any) -> Any:
    return x + tf.exp(x) * tf.random.normal(tf.shape(x))


def _python(x: Any) -> Any:
    out = tf1.py_func(lambda value: value, [x], tf.float32)
    out.set_shape(x.shape)
    return tf.stop_gradient(out)


def _no_average(x: Any) -> Any:
    return normalize(x, "unfused", update=False)


def renormalized(h: Any) -> Any:
    """Batch renormalization: the correction reads an average of the same statistic."""
    slow = variable("moving_mean", [HIDDEN], tf1.zeros_initializer(), trainable=False)
    fast = variable("renorm_mean", [HIDDEN], tf1.zeros_initializer(), trainable=False)
    mean = tf.reduce_mean(h, 0)
    for kept, share in ((slow, 0.01), (fast, 0.1)):
        moved = tf1.assign_sub(kept, (kept - mean) * share)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, moved)
    return h - mean + tf.stop_gradient(tf.clip_by_value(mean - fast, -1.0, 1.0))


REFUSED: dict[str, tuple[Layer, str]] = {
    "a rate that is not what the graph says": (
        lambda x: x / 0.5 * tf.floor(0.6 + tf.random.uniform(tf.shape(x))),
        r"RandomUniform '.*' is combined with data in '.*', which is neither dropout",
    ),
    "no scale": (_unscaled, "which is neither dropout"),
    "a mask used twice": (_twice, "which is neither dropout"),
    "a sampler": (_sampled, r"RandomStandardNormal '.*' is combined with data"),
    "Gumbel noise": (
        lambda x: x - tf1.log(-tf1.log(tf.random.uniform(tf.shape(x), 1e-3))), "is combined with data"),
    "Python": (_python, r"PyFunc 'PyFunc', which runs outside of the graph"),
    "batch renormalization": (renormalized, r"corrected with its own average 'renorm_mean'"),
    "no average": (_no_average, r"Mean '.*' uses the batch's statistics, and has no moving average"),
    "no average, fused": (
        lambda x: normalize(x, "fused", update=False), "and has no moving average of its mean"),
}  # fmt: skip


@pytest.mark.parametrize("defect", REFUSED)
def test_redraw_of_a_defect_is_refused_by_name(defect: str, tmp_path: Path) -> None:
    layer, message = REFUSED[defect]
    definition = definition_of(recorded_with(layer, tmp_path))

    with pytest.raises(InvalidDefinition, match=message):
        _ = definition.redrawn


@pytest.mark.parametrize("shape", [(HIDDEN,), (2, HIDDEN)], ids=["a row", "a block"])
def test_redraw_of_a_constant_with_a_row_for_each_of_the_batch_takes_any_number(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    start = np.broadcast_to(np.linspace(-1, 1, np.prod(shape)).reshape(shape), (16, *shape)).astype("float32")

    def layer(x: Any) -> Any:
        with tf1.control_dependencies([x]):  # to wait for the data is not to be computed of them
            rows = tf.constant(start)
        added = (x if len(shape) == 1 else tf.expand_dims(x, 1)) + rows
        return added if len(shape) == 1 else tf.reduce_sum(added, 1)

    recorded = recorded_with(layer, tmp_path, batch=16)

    got, wanted = answers(
        recorded, lambda h: h + start[0] if len(shape) == 1 else (h[:, None] + start[0]).sum(1)
    )

    assert len(got) == 6
    np.testing.assert_allclose(got, wanted, atol=3e-6)


def test_redraw_of_a_declared_sampler_keeps_it(tmp_path: Path) -> None:
    recorded = recorded_with(_sampled, tmp_path)
    definition = definition_of(recorded, stateful_ops=("RandomStandardNormal",))

    request = request_of(recorded, 4)
    got = ask(definition, recorded, request)["probabilities"]

    still = np.tanh(request["x"] @ recorded.weight("in/kernel")) @ recorded.weight("out/kernel")
    assert not np.allclose(got, softmax(still), atol=1e-3)
    assert definition.redrawn.replaced == ()


def test_redraw_of_an_output_that_needs_the_label_names_it(tmp_path: Path) -> None:
    recorded = recorded_with(lambda x: x, tmp_path)
    recorded.outputs = {
        "probabilities": "SparseSoftmaxCrossEntropyWithLogits/SparseSoftmaxCrossEntropyWithLogits"
    }

    with pytest.raises(InvalidDefinition, match="the outputs depend on Placeholder 'label'"):
        _ = definition_of(recorded).redrawn


def _flagged_wrong(x: Any) -> Any:
    serving = tf1.placeholder(tf.bool, (), "is_training")
    tf1.add_to_collection("flags", serving)
    out = tf1.cond(serving, lambda: tf.identity(x), lambda: dropout(x, 0.5, "floor"))
    out.set_shape(x.shape)
    return out


@pytest.mark.parametrize("flag", [True, False])
def test_redraw_with_a_flag_of_either_sense_answers_without_dropout(flag: bool, tmp_path: Path) -> None:
    recorded = recorded_with(_flagged_wrong, tmp_path)
    recorded.constants = {"is_training": flag}

    got, wanted = answers(recorded, lambda h: h)

    np.testing.assert_allclose(got, wanted, atol=3e-6)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (
            {"outputs": {"probabilities": "probabilites"}},
            "output 'probabilites': expected a tensor .* nearest names are",
        ),
        ({"inputs": {"x": "x:1"}}, "input 'x:1': expected a tensor"),
        ({"constants": {"nothing": 1}}, "constant 'nothing': expected a tensor"),
        ({"constants": {"x": 1.0}}, "input 'x': expected a tensor that is not in constants"),
    ],
)
def test_redraw_with_a_name_that_the_graph_lacks_names_it(
    attribute: dict[str, Any], message: str, tmp_path: Path
) -> None:
    definition = definition_of(recorded_with(lambda x: x, tmp_path), **attribute)

    with pytest.raises(InvalidDefinition, match=message):
        _ = definition.redrawn


def test_redraw_of_tables_asks_them(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a\nb\nthe\n")
    with era("resource", "v1"):
        text = tf1.placeholder(tf.string, [None], "text")
        label = tf1.placeholder(tf.int64, [None], "label")
        table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER), 2)  # fmt: skip
        logits = tf.nn.embedding_lookup(variable("embedding", [5, CLASSES]), table.lookup(text))
        tf.nn.softmax(logits, name="probabilities")
        feed = {text: ["a", "the"], label: [0, 1]}
        train_and_save(label, logits, tmp_path / "run", lambda: feed)
    recorded = Recorded(meta=tmp_path / "run" / "model.ckpt-3.meta", inputs={"x": "text"})
    definition = definition_of(recorded, asks={"x": TensorSpec("string", (None,))})

    got = ask(definition, recorded, {"x": np.array([b"the", b"a"], object)})["probabilities"]

    np.testing.assert_allclose(got, softmax(recorded.weight("embedding")[[2, 0]]), atol=3e-6)
    words.unlink()
    with pytest.raises(InvalidDefinition, match=r"expected its file 'words.txt' at"):
        ask(definition_of(recorded, asks={"x": TensorSpec("string", (None,))}), recorded, {})


def _text_graph(text: str) -> Any:
    from google.protobuf import text_format

    return text_format.Parse(text, tf1.GraphDef())


MALFORMED = {
    "reads 'b', which does not exist": 'node { name: "out" op: "Identity" input: "b" }',
    "which depends on its own result": """
        node { name: "out" op: "Identity" input: "b" } node { name: "b" op: "Identity" input: "out" }""",
    "with 1 inputs instead of 2": """
        node { name: "c" op: "Const" } node { name: "out" op: "MatMul" input: "c" }""",
    "a function calls itself": """
        node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
        node { name: "out" op: "PartitionedCall" input: "x" attr { key: "f" value { func { name: "f" } } } }
        library { function {
          signature { name: "f" input_arg { name: "a" type: DT_FLOAT }
            output_arg { name: "r" type: DT_FLOAT } }
          node_def { name: "again" op: "PartitionedCall" input: "a"
            attr { key: "f" value { func { name: "f" } } }
            attr { key: "Tout" value { list { type: DT_FLOAT } } } }
          ret { key: "r" value: "again:output:0" } } }""",
}


@pytest.mark.parametrize("message", MALFORMED)
def test_redraw_of_a_malformed_graph_says_so_in_one_line(message: str, tmp_path: Path) -> None:
    meta = tf1.MetaGraphDef(graph_def=_text_graph(MALFORMED[message]))
    (tmp_path / "a.meta").write_bytes(meta.SerializeToString())
    recorded = Recorded(meta=tmp_path / "a.meta", inputs={"x": "x"}, outputs={"probabilities": "out"})

    with pytest.raises(InvalidDefinition, match=message) as caught:
        _ = definition_of(recorded).redrawn
    assert "\n" not in str(caught.value)


def test_redraw_of_unknown_operations_names_them_all_and_where_they_came_from(tmp_path: Path) -> None:
    text = """node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } } }
        node { name: "a" op: "Resampler" input: "x" } node { name: "out" op: "OurOwnOp" input: "a" }
        node { name: "before" op: "KafkaDataset" }"""
    (tmp_path / "a.meta").write_bytes(tf1.MetaGraphDef(graph_def=_text_graph(text)).SerializeToString())
    recorded = Recorded(meta=tmp_path / "a.meta", inputs={"x": "x"}, outputs={"probabilities": "out"})

    with pytest.raises(
        InvalidDefinition,
        match=r"OurOwnOp \(operation 'out', of an unknown .*\), Resampler \(operation 'a', of tf.contrib",
    ) as caught:
        _ = definition_of(recorded).redrawn
    assert "Kafka" not in str(caught.value)
