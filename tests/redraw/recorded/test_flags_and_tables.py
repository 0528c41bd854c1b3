"""What flags, steps and tables decide in graphs of 2016 to 2020 is served as inference has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import TensorSpec
from redraw.draft.draft import draft_definition
from redraw.errors import InvalidDefinition
from redraw.export.prepared import PreparedModel
from redraw.requests import DraftRequest
from tests.redraw.recorded.asking import ask, definition_of, request_of
from tests.redraw.recorded.old_graphs import (
    CLASSES,
    Recorded,
    dropout,
    era,
    softmax,
    train_and_save,
    variable,
)
from tests.redraw.recorded.test_redrawing import Layer, recorded_with

tf1 = tf.compat.v1


def test_redraw_of_a_table_that_is_filled_by_an_import_asks_it(tmp_path: Path) -> None:
    with era("resource", "v1"):
        text = tf1.placeholder(tf.string, [None], "text")
        label = tf1.placeholder(tf.int64, [None], "label")
        words = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
        table = tf.lookup.StaticVocabularyTable(words, 1)
        logits = tf.nn.embedding_lookup(variable("embedding", [3, CLASSES]), table.lookup(text))
        tf.nn.softmax(logits, name="probabilities")
        train_and_save(label, logits, tmp_path, lambda: {text: ["a", "c"], label: [0, 1]})
    recorded = Recorded(meta=tmp_path / "model.ckpt-3.meta", inputs={"x": "text"})
    drafted = draft_definition(DraftRequest.from_json({"source": str(recorded.meta), "name": "words"}))
    assert f'TensorSpec("float32", (None, {CLASSES}))' in drafted.module
    definition = definition_of(recorded, asks={"x": TensorSpec("string", (None,))})

    got = ask(definition, recorded, {"x": np.array([b"b", b"?"], object)})["probabilities"]

    np.testing.assert_allclose(got, softmax(recorded.weight("embedding")[[1, 2]]), atol=3e-6)


def _keep_by_flag(x: Any) -> Any:
    training = tf1.placeholder(tf.bool, (), "is_training")
    tf1.add_to_collection("flags", training)
    return dropout(x, tf1.cond(training, lambda: tf.constant(0.5), lambda: tf.constant(1.0)), "select")


def _normalized_by_flag(x: Any) -> Any:
    """Averages of the statistics themselves, as batch normalization was written before there were layers."""
    training = tf1.placeholder(tf.bool, (), "is_training")
    tf1.add_to_collection("flags", training)
    mean, variance = tf.nn.moments(x, [0])
    average = tf.train.ExponentialMovingAverage(0.8)

    def updated() -> tuple[Any, Any]:
        with tf1.control_dependencies([average.apply([mean, variance])]):
            return tf.identity(mean), tf.identity(variance)

    kept = tf1.cond(training, updated, lambda: (average.average(mean), average.average(variance)))
    return tf.nn.batch_normalization(x, *kept, None, None, 1e-3)


def _stepped(x: Any) -> Any:
    """A temperature that follows the step."""
    return x * tf.cast(tf1.train.get_or_create_global_step(), tf.float32)


def _statistics(recorded: Recorded) -> tuple[np.ndarray, np.ndarray]:
    keys = [
        name
        for name, _ in tf.train.list_variables(str(recorded.prefix))
        if "moments" in name and name.endswith("/ExponentialMovingAverage")
    ]
    mean, variance = sorted(keys, key=lambda name: "Squeeze_1" in name)
    return recorded.weight(mean), recorded.weight(variance)


def _kept(name: str, value: bool) -> Any:
    return tf1.get_variable(name, initializer=value, trainable=False)


def _unsaved(name: str, value: bool) -> Any:
    scope = [tf1.GraphKeys.LOCAL_VARIABLES]
    return tf1.get_variable(name, initializer=value, trainable=False, collections=scope)


def _defaulted(name: str, value: bool) -> Any:
    return tf1.placeholder_with_default(tf.constant(value), (), name=name)


def _branches(flag: Any, x: Any) -> Any:
    return tf1.cond(flag, lambda: x * 3.0, lambda: x)


def _chosen(flag: Any, x: Any) -> Any:
    return tf.where(flag, x * 3.0, x)


def _reckoned(flag: Any, x: Any) -> Any:
    on = tf.cast(flag, tf.float32)
    return on * x * 3.0 + (1.0 - on) * x


def _rated(flag: Any, x: Any) -> Any:
    return dropout(x, tf1.cond(flag, lambda: tf.constant(0.5), lambda: tf.constant(1.0)), "select")


def _flagged(kind: Any, name: str, use: Any) -> Layer:
    """A layer whose flag the graph keeps itself, as it was at the last step of training: on."""
    return lambda x: use(tf.convert_to_tensor(kind(name, True)), x)


@pytest.mark.parametrize("use", [_branches, _chosen, _reckoned, _rated])
@pytest.mark.parametrize("kind", [_kept, _unsaved, _defaulted])
def test_export_of_a_flag_that_the_graph_keeps_serves_the_inference_side(
    kind: Any, use: Any, tmp_path: Path
) -> None:
    recorded = recorded_with(_flagged(kind, "is_training", use), tmp_path / "run")

    got = ask(definition_of(recorded), recorded, request_of(recorded, 6))["probabilities"]

    hidden = np.tanh(request_of(recorded, 6)["x"] @ recorded.weight("in/kernel"))
    np.testing.assert_allclose(got, softmax(hidden @ recorded.weight("out/kernel")), atol=3e-6)


@pytest.mark.parametrize("kind", [_kept, _unsaved, _defaulted])
@pytest.mark.parametrize("name", ["is_inference", "is_test", "testing", "eval_mode"])
def test_export_of_a_flag_of_inference_serves_the_inference_side(
    name: str, kind: Any, tmp_path: Path
) -> None:
    def layer(x: Any) -> Any:
        flag = tf.convert_to_tensor(kind(name, False))  # as it was while it trained
        return tf1.cond(flag, lambda: x, lambda: x * 3.0)

    recorded = recorded_with(layer, tmp_path / "run")

    got = ask(definition_of(recorded), recorded, request_of(recorded, 6))["probabilities"]

    hidden = np.tanh(request_of(recorded, 6)["x"] @ recorded.weight("in/kernel"))
    np.testing.assert_allclose(got, softmax(hidden @ recorded.weight("out/kernel")), atol=3e-6)


def test_redraw_of_a_flag_without_a_known_meaning_asks_for_its_value(tmp_path: Path) -> None:
    recorded = recorded_with(_flagged(_kept, "mode_b", _branches), tmp_path / "run")
    with pytest.raises(InvalidDefinition, match="flag 'mode_b', a variable.* set it in constants"):
        ask(definition_of(recorded), recorded, request_of(recorded, 6))

    recorded.constants = {"mode_b": False}
    got = ask(definition_of(recorded), recorded, request_of(recorded, 6))["probabilities"]

    hidden = np.tanh(request_of(recorded, 6)["x"] @ recorded.weight("in/kernel"))
    np.testing.assert_allclose(got, softmax(hidden @ recorded.weight("out/kernel")), atol=3e-6)


@pytest.mark.parametrize("layer", [_keep_by_flag, _normalized_by_flag, _stepped])
def test_export_of_what_flags_and_steps_decide_serves_the_inference_side(
    layer: Layer, tmp_path: Path
) -> None:
    recorded = recorded_with(layer, tmp_path / "run")
    if layer is not _stepped:
        recorded.constants = {"is_training": False}
    (tmp_path / "out").mkdir()
    PreparedModel(definition_of(recorded)).write(
        open_checkpoint(recorded.prefix), "raw", tmp_path / "out", allow_non_finite=False
    )
    request = request_of(recorded, 6)

    served = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]

    hidden = np.tanh(request["x"] @ recorded.weight("in/kernel"))
    if layer is _normalized_by_flag:
        mean, variance = _statistics(recorded)
        hidden = (hidden - mean) / np.sqrt(variance + 1e-3)
    hidden = hidden * 3 if layer is _stepped else hidden
    np.testing.assert_allclose(
        served(x=tf.constant(request["x"]))["probabilities"],
        softmax(hidden @ recorded.weight("out/kernel")),
        atol=3e-6,
    )
