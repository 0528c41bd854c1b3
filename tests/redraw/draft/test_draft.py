"""Definitions drafted from recordings: what is found is right, and nothing is guessed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from redraw.draft.draft import draft_definition
from redraw.errors import CheckpointNotFound, InvalidDefinition, InvalidRequest, OutputExists, RedrawError
from redraw.records.results import DraftedDefinition
from redraw.requests import DraftRequest
from redraw.storage.opening import open_storage
from tests.redraw.recorded.old_graphs import (
    CLASSES,
    HIDDEN,
    WIDTH,
    Case,
    era,
    record,
    train_and_save,
    variable,
)

tf1 = tf.compat.v1


def draft(source: Path, **more: Any) -> DraftedDefinition:
    return draft_definition(DraftRequest.from_json({"source": str(source), "name": "churn", **more}))


def executed(drafted: DraftedDefinition) -> Any:
    """The class that the module holds."""
    namespace: dict[str, Any] = {"__name__": "drafted"}
    exec(drafted.module, namespace)  # noqa: S102 - it was just made
    definition = namespace["Churn"]()
    definition.check()
    return definition


@pytest.mark.parametrize(
    ("case", "inputs", "constants"),
    [
        (Case("placeholder", "floor", "placeholder", "unfused", "reference"), {"x": "x:0"}, {}),
        (Case("queue", "greater", "constant", "fused"), {"input": "fifo_queue_DequeueMany:0"}, {}),
        (Case("iterator", "select", "cond", "none", "resource", "v2"), {"input": "IteratorGetNext:0"}, False),
        (Case("placeholder", "select", "cond", "fused", "resource", "v1"), {"x": "x:0"}, False),
    ],
    ids=str,
)
def test_draft_finds_inputs_outputs_and_flags(
    case: Case, inputs: dict[str, str], constants: object, tmp_path: Path
) -> None:
    recorded = record(case, tmp_path)

    drafted = draft(recorded.prefix)
    definition = executed(drafted)

    assert definition.inputs == inputs
    assert definition.outputs == {"probabilities": "probabilities:0"}
    assert definition.constants == ({"is_training:0": False} if constants is False else {})
    signature = definition.signatures["serving_default"]
    assert [spec.shape for spec in signature.inputs.values()] == [(None, WIDTH)]
    assert [spec.shape for spec in signature.outputs.values()] == [(None, CLASSES)]
    assert definition.redrawn.counts.get("dropout", 0) == (0 if constants is False else 1)
    assert "label" in drafted.module
    assert len(drafted.module.splitlines()) < 45


def two_heads(folder: Path) -> Path:
    """Two classifiers on one layer."""
    with era("resource", "v1"):
        x = tf1.placeholder(tf.float32, [None, WIDTH], "x")
        label = tf1.placeholder(tf.int64, [None], "label")
        hidden = tf.tanh(tf.matmul(x, variable("in/kernel", [WIDTH, HIDDEN])))
        first = tf.matmul(hidden, variable("first/kernel", [HIDDEN, CLASSES]))
        second = tf.matmul(hidden, variable("second/kernel", [HIDDEN, CLASSES]))
        tf.nn.softmax(first, name="first")
        tf.nn.softmax(second, name="second")
        tf1.losses.sparse_softmax_cross_entropy(label, second)
        feed = {x: [[0.0] * WIDTH], label: [1]}
        train_and_save(label, first, folder, lambda: feed)
    return folder / "model.ckpt-3.meta"


def test_draft_of_two_heads_lists_them_and_stops(tmp_path: Path) -> None:
    meta = two_heads(tmp_path)

    with pytest.raises(
        InvalidRequest, match=r"expected one output, or one group of outputs, got .*second.*first.*--output"
    ):
        draft(meta)
    assert executed(draft(meta, output=["answer=second"])).outputs == {"answer": "second"}


def test_draft_keeps_the_graph_and_writes_the_module_once(tmp_path: Path) -> None:
    recorded = record(Case(), tmp_path / "run")
    package = tmp_path / "package"

    drafted = draft(recorded.meta, out=str(package), keep_graph=str(tmp_path / "kept"))

    assert Path(drafted.path) == package / "churn.py"
    assert Path(drafted.path).read_text() == drafted.module
    assert drafted.recording == str(tmp_path / "kept" / "churn" / f"{drafted.digest[:12]}.meta")
    shutil.rmtree(tmp_path / "run")
    assert executed(drafted).redrawn.counts["dropout"] == 1
    with pytest.raises(OutputExists, match=r"without churn\.py"):
        draft(Path(drafted.recording), out=str(package))


def test_draft_reads_graph_pbtxt_next_to_a_checkpoint(tmp_path: Path) -> None:
    recorded = record(Case(), tmp_path / "run")
    meta = tf1.MetaGraphDef.FromString(recorded.meta.read_bytes())
    tf.io.write_graph(meta.graph_def, str(tmp_path / "run"), "graph.pbtxt")
    recorded.meta.unlink()

    assert draft(tmp_path / "run").recording.endswith("graph.pbtxt")
    (tmp_path / "run" / "graph.pbtxt").unlink()
    with pytest.raises(CheckpointNotFound, match=r"model.ckpt-3.meta or graph.pbtxt, next to the checkpoint"):
        draft(tmp_path / "run")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"input": ["x=[3]"]}, "expected TENSOR, NAME=TENSOR"),
        ({"set": ["is_training"]}, "expected NAME=VALUE"),
    ],
)
def test_draft_with_a_flag_of_another_form_says_which(
    flags: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        draft(record(Case(), tmp_path).meta, **flags)


def test_draft_in_a_bucket_of_a_v1_checkpoint_next_to_its_recording(bucket: str, tmp_path: Path) -> None:
    recorded = record(Case(), tmp_path / "run")
    (tmp_path / "v1").mkdir()
    with tf.Graph().as_default(), tf1.Session() as session:
        saver = tf1.train.import_meta_graph(str(recorded.meta))
        saver.restore(session, str(recorded.prefix))
        tf1.train.Saver(write_version=1).save(session, str(tmp_path / "v1" / "model.ckpt-3"))
    for path in (tmp_path / "v1").iterdir():
        open_storage(bucket).create(f"old/{path.name}", path)

    drafted = draft_definition(DraftRequest.from_json({"source": f"{bucket}/old", "name": "churn"}))

    assert drafted.recording == f"{bucket}/old/model.ckpt-3.meta"
    assert executed(drafted).redrawn.counts["dropout"] == 1


Net = Callable[[Any, Any], Any]


def _attention(x: Any, label: Any) -> Any:
    weights = tf.nn.softmax(tf.matmul(x, variable("score", [WIDTH, WIDTH])), name="attention")
    answer = tf.matmul(x * weights, variable("out", [WIDTH, 1]))
    return tf.reduce_mean(tf.square(answer - tf.cast(label, tf.float32)[:, None]))


def _made_a_matrix(x: Any, label: Any) -> Any:
    logits = tf.matmul(x, variable("out", [WIDTH, CLASSES]))
    tf.nn.softmax(logits, name="probabilities")
    return tf1.losses.softmax_cross_entropy(tf.one_hot(label, CLASSES), logits, label_smoothing=0.1)


def _mixture(x: Any, label: Any) -> Any:
    """How likely each of several answers is, and the answers: neither alone is the network's."""
    shares = tf.nn.softmax(tf.matmul(x, variable("shares", [WIDTH, CLASSES])), name="shares")
    answers = tf.matmul(x, variable("answers", [WIDTH, CLASSES]))
    distance = tf.square(answers - tf.cast(label, tf.float32)[:, None])
    return -tf.reduce_mean(tf1.log(tf.reduce_sum(shares * tf.exp(-distance), 1)))


def _numbered(x: Any, label: Any) -> Any:
    mode = tf1.placeholder(tf.int32, (), "mode")
    tf1.add_to_collection("numbers", mode)
    logits = tf.matmul(x, variable("out", [WIDTH, CLASSES])) / tf.cast(mode, tf.float32)
    tf.nn.softmax(logits, name="probabilities")
    return tf1.losses.sparse_softmax_cross_entropy(label, logits)


def _compared(x: Any, label: Any) -> Any:
    vectors = tf.matmul(x, variable("out", [WIDTH, CLASSES]))
    return tf1.losses.sparse_softmax_cross_entropy(
        tf.range(tf.shape(x)[0]), tf.matmul(vectors, vectors, transpose_b=True)
    )


def recorded_loss(net: Net, folder: Path) -> Path:
    """A graph with a loss of its own, as it is before training."""
    with era("resource", "v1"):
        label = tf1.placeholder(tf.int64, [None], "label")
        tf1.train.GradientDescentOptimizer(0.1).minimize(
            net(tf1.placeholder(tf.float32, [None, WIDTH], "x"), label)
        )
        folder.mkdir(exist_ok=True)
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            tf1.train.Saver().save(session, str(folder / "model.ckpt"))
    return folder / "model.ckpt.meta"


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (
            _attention,
            InvalidRequest,
            r"one group of outputs, got MatMul_1:0 \(is compared with '.*', as an answer is with its label\)",
        ),
        (_mixture, InvalidRequest, r"shares.*:0 .*MatMul_1:0 \(is compared with"),
        (_numbered, InvalidDefinition, r"Placeholder 'mode'.*--set mode=VALUE"),
        (_compared, InvalidDefinition, r"expected one row for each.*\[23, 23\] for 23 rows"),
    ],
)
def test_draft_of_what_is_not_certain_asks(
    net: Net, error: type[RedrawError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        draft(recorded_loss(net, tmp_path))


def test_draft_of_a_loss_that_makes_a_matrix_finds_the_probabilities(tmp_path: Path) -> None:
    definition = executed(draft(recorded_loss(_made_a_matrix, tmp_path)))

    assert definition.outputs == {"probabilities": "probabilities:0"}


def _kept_by_flag(x: Any, label: Any) -> Any:
    training = tf1.placeholder(tf.bool, (), "is_training")
    keep = tf1.cond(training, lambda: tf.constant(0.5), lambda: tf.constant(1.0))
    logits = tf.matmul(tf.nn.dropout(x, rate=1 - keep), variable("out", [WIDTH, CLASSES]))
    tf.nn.softmax(logits, name="probabilities")
    return tf1.losses.sparse_softmax_cross_entropy(label, logits)


def test_draft_of_a_keep_rate_that_a_flag_chooses_asks_for_the_flag_or_sets_it(tmp_path: Path) -> None:
    meta = recorded_loss(_kept_by_flag, tmp_path)

    with pytest.raises(InvalidRequest, match=r"--set is_training=false"):
        draft(meta)
    assert executed(draft(meta, set=["is_training=false"])).redrawn.counts["branches"] == 1


def test_draft_of_parsed_examples_asks_for_what_is_parsed(tmp_path: Path) -> None:
    with era("resource", "v1"):
        example = tf1.placeholder(tf.string, [None], "example")
        parsed = tf.io.parse_example(
            example,
            {"x": tf.io.FixedLenFeature([WIDTH], tf.float32), "y": tf.io.FixedLenFeature([], tf.int64)},
        )
        logits = tf.matmul(parsed["x"], variable("out", [WIDTH, CLASSES]), name="logits")
        tf1.losses.sparse_softmax_cross_entropy(parsed["y"], logits)
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            tf1.train.Saver().save(session, str(tmp_path / "model.ckpt"))

    definition = executed(draft(tmp_path / "model.ckpt.meta"))

    assert list(definition.inputs.values()) == ["ParseExample/ParseExampleV2:0"]
    assert [spec.shape for spec in definition.signatures["serving_default"].inputs.values()] == [
        (None, WIDTH)
    ]
