"""What a graph function makes by `tf.Variable`, shared by its order in every drawing of a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.errors import InvalidDefinition
from redraw.export.export import export_model
from redraw.requests import ExportRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.validate.validator import Validator
from tests.paths import TESTS

DEFINITION = """
import numpy as np, tensorflow as tf
from redraw.definition import *
from sample_models.line_module import LineDefinition
v1 = tf.compat.v1
ONE = TensorSpec("float32", (None, 1))

class Bare(GraphFunctionDefinition, LineDefinition):
    signatures = {{name: Signature(inputs={{"x": ONE}}, outputs={{"y": ONE}}) for name in {names!r}}}
    training = TrainingPlan(steps=8, evaluate_every=4, average_decay=0.5)
    thresholds = {{}}
    def golden_examples(self):
        x = np.float32([[0.0], [0.5], [2.0]])
        return {{name: GoldenExamples(inputs={{"x": x}}) for name in self.signatures}}
    def serve(self, network, signature, inputs):
        y = network(inputs["x"])
        return {{"y": y if signature == "serving_default" else y + network(inputs["x"])}}
    def graph(self, mode, features):
{body}
"""
SHARED = """
        with v1.variable_scope("dense"):
            y = features @ tf.Variable([[0.5]], name="w") + tf.Variable(tf.zeros([1]))
            y = y * v1.get_variable("scale", [1], initializer=v1.ones_initializer())
        return y @ v1.Variable([[0.25]], name="w") + tf.Variable(tf.zeros([1]))
"""
UNLIKE = {
    "fewer": (
        "        w = [tf.Variable([[0.5]]) for _ in range(2 if mode is Mode.TRAIN else 1)]\n"
        "        return features @ w[-1]\n",
        "got no variable for 'Variable'",
    ),
    "more": (
        "        w = [tf.Variable([[0.5]], name='w') for _ in range(1 if mode is Mode.TRAIN else 2)]\n"
        "        return features @ w[-1]\n",
        "got a new variable 'w'",
    ),
}


def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, *names: str) -> str:
    package = tmp_path / f"bare_{abs(hash((body, names)))}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bare.py").write_text(DEFINITION.format(names=names, body=body))
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    return "bare"


@pytest.mark.parametrize("names", [("serving_default",), ("serving_default", "twice")])
@pytest.mark.parametrize("weights", ["raw", "average"])
def test_export_variables_without_a_scope_are_served_and_validated(
    names: tuple[str, ...], weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path, monkeypatch, SHARED, *names)
    run = train_model(TrainRequest(model=model, out=str(tmp_path / "run")))
    prefix = tmp_path / "run" / "checkpoints" / "ckpt-8"
    assert run.metrics["average_loss"] != run.metrics["loss"]
    trained = [key for key in TensorBundle(prefix).entries if key.endswith("/Adam")]
    assert len(trained) == 5
    out = tmp_path / "model"
    exported = export_model(
        ExportRequest(model=model, checkpoint=str(prefix), out=str(out), weights=weights)  # type: ignore[arg-type]
    )
    with Validator() as validator:
        report = validator.validate(
            ValidateRequest(model=model, saved_model=exported, report=str(tmp_path / "report.json"))
        )
    assert report.passed
    read = TensorBundle(prefix).read_array
    suffix = "/ExponentialMovingAverage" if weights == "average" else ""
    w0, b0, scale, w1, b1 = (
        read(f"{name}{suffix}") for name in ("dense/w", "dense/Variable", "dense/scale", "w", "Variable")
    )
    x = np.float32([[1.0], [3.0]])
    expected = ((x @ w0 + b0) * scale) @ w1 + b1
    signatures = tf.saved_model.load(str(out)).signatures
    np.testing.assert_allclose(signatures["serving_default"](x=tf.constant(x))["y"], expected, rtol=1e-5)
    if "twice" in names:
        np.testing.assert_allclose(signatures["twice"](x=tf.constant(x))["y"], 2 * expected, rtol=1e-5)


@pytest.mark.parametrize(("body", "message"), UNLIKE.values(), ids=UNLIKE)
def test_train_modes_that_make_other_variables_are_refused(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path, monkeypatch, body, "serving_default")
    with pytest.raises(InvalidDefinition, match=message):
        train_model(TrainRequest(model=model, out=str(tmp_path / "run")))
