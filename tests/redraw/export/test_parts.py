"""Exports of checkpoints whose partitioned variables were saved part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.definition import GraphFunctionDefinition, Mode
from redraw.definition.registry import load_definition
from redraw.export.export import export_model
from redraw.requests import ExportRequest
from redraw.validate.subject.session_reference import SessionReference
from tests.paths import TESTS


@pytest.fixture
def definition(monkeypatch: pytest.MonkeyPatch) -> GraphFunctionDefinition:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    found = load_definition("word_graph")
    assert isinstance(found, GraphFunctionDefinition)
    return found


def save_by_part(definition: GraphFunctionDefinition, prefix: Path) -> dict[str, np.ndarray]:
    """Save the variables and averages of `word_graph`, each operation's variable by itself."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        definition.build(Mode.SERVE)({"word": tf.constant(["one"])})
        weights = v1.trainable_variables()
        averages = tf.train.ExponentialMovingAverage(0.9)
        averages.apply(weights)
        saved = {variable.op.name: variable for variable in v1.global_variables()}
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        generator = np.random.default_rng(5)
        for variable in saved.values():
            variable.load(generator.random(variable.shape).astype(variable.dtype.as_numpy_dtype), session)
        v1.train.Saver(saved).save(session, str(prefix), write_meta_graph=False)
        return {name: variable.eval() for name, variable in saved.items()}


@pytest.mark.parametrize(("weights", "suffix"), [("raw", ""), ("average", "/ExponentialMovingAverage")])
def test_export_of_parts_serves_them_as_one_and_answers_like_the_checkpoint(
    weights: Any, suffix: str, definition: GraphFunctionDefinition, tmp_path: Path
) -> None:
    prefix = tmp_path / "model.ckpt-7"
    values = save_by_part(definition, prefix)
    parts = [values[f"embedding/part_{number}{suffix}"] for number in (0, 1)]
    request = ExportRequest(
        model="word_graph", checkpoint=str(prefix), out=str(tmp_path / "out"), weights=weights
    )
    exported = export_model(request)
    served = TensorBundle(Path(exported.uri) / "variables" / "variables")
    np.testing.assert_array_equal(served.read_array("embedding"), np.concatenate(parts))
    examples = definition.golden_examples()
    reference = SessionReference(definition, weights)
    reference.restore(prefix)
    expected = reference.answer("serving_default", examples["serving_default"].inputs)
    reference.close()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], exported.uri)
        signature = loaded.signature_def["serving_default"]
        words = examples["serving_default"].inputs["word"]
        answer = session.run(signature.outputs["value"].name, {signature.inputs["word"].name: words})
    np.testing.assert_array_equal(answer, expected["value"])
