"""Inputs and outputs of any name, in every kind of network: exported, validated, asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.export.export import export_model
from redraw.export.graph.tracing import argument_names
from redraw.requests import ExportRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.validate.validator import Validator
from tests.paths import TESTS

NAMES = (
    "image/encoded",
    "user-id",
    "größe",
    "class",
    "self",
    "a/b",
    "a-b",
    "a b",
    "2d",
    "_x",
    "name",
    "input_0",
    "converted",
    "lambda",
    "日本",
    "x:0",
    "Age",
)
# What Python's loader takes by name; the others are `input_1` and so on there.
PYTHON = ("image/encoded", "user-id", "größe", "name", "input_0", "Age", "x:0")
DEFINITION = """
import keras, numpy as np, tensorflow as tf
from redraw.definition import GoldenExamples, GraphFunctionDefinition, Signature, TensorSpec
from sample_models.line_module import LineDefinition

NAMES = {names!r}
OUT = ("sum/all", "class", "self", "größe", "y-0", "y/0")
ONE = TensorSpec("float32", (None, 1))

def weigh(inputs):
    # Each by a weight of its own: inputs that were exchanged give another sum.
    return tf.add_n([inputs[name] * float(2 ** place) for place, name in enumerate(NAMES)])

class Base:
    thresholds = {{}}
    inputs, outputs = dict.fromkeys(NAMES, ONE), dict.fromkeys(OUT, ONE)
    signatures = {{"serving_default": Signature(inputs=inputs, outputs=outputs)}}
    def training_data(self):
        rows = np.linspace(-1, 1, 6, dtype=np.float32)[:, None]
        features = {{name: rows + place for place, name in enumerate(NAMES)}}
        return tf.data.Dataset.from_tensors((features, rows)).repeat()
    def golden_examples(self):
        rows = np.float32([[0.5], [1.5]])
        return {{"serving_default": GoldenExamples(inputs={{n: rows + p for p, n in enumerate(NAMES)}})}}
    def serve(self, network, signature, inputs):
        y = network(weigh(inputs))
        return {{name: y + place for place, name in enumerate(OUT)}}
    def call(self, network, features, mode):
        return network(weigh(features))

{kind}
"""
KINDS = {
    "module": """
class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable([[1.0]])
    def __call__(self, x):
        return x @ self.w
class Names(Base, LineDefinition):
    def build(self, mode):
        return Net()
""",
    "keras": """
class Names(Base, LineDefinition):
    def build(self, mode):
        return keras.Sequential([keras.Input([1]), keras.layers.Dense(1, name="y")])
""",
    "graph": """
class Names(Base, GraphFunctionDefinition, LineDefinition):
    def graph(self, mode, features):
        return features @ tf.compat.v1.get_variable("w", [1, 1])
""",
}


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as one:
        yield one


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_export_names_of_any_form_are_served_as_they_are(
    kind: str, validator: Validator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / f"odd_names_{kind}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "names.py").write_text(DEFINITION.format(names=NAMES, kind=KINDS[kind]))
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    run = train_model(TrainRequest(model="names", out=str(tmp_path / "run"), max_steps=4))
    out = tmp_path / "model"
    checkpoint = f"{run.uri}/checkpoints/ckpt-4"
    exported = export_model(ExportRequest(model="names", checkpoint=checkpoint, out=str(out)))
    report = validator.validate(
        ValidateRequest(model="names", saved_model=exported, report=str(tmp_path / "report.json"))
    )
    assert report.passed
    if kind == "graph":
        return  # TensorFlow's Python loader refuses `class` in graphs of TF1
    served = tf.saved_model.load(str(out)).signatures["serving_default"]
    arguments = {name: name if name in PYTHON else odd for name, odd in argument_names(NAMES).items()}
    answers = served(**{arguments[name]: tf.constant([[1.0]]) for name in NAMES})
    assert set(answers) == {"sum/all", "class", "self", "größe", "y-0", "y/0"}


def test_argument_names_are_the_inputs_own_where_python_allows_them() -> None:
    assert argument_names(["x", "name", "Age"]) == {"x": "x", "name": "name", "Age": "Age"}
    odd = argument_names(["input_0", "a/b", "a-b"])
    assert odd == {"input_0": "input_0", "a/b": "input_1", "a-b": "input_2"}
    many = argument_names(NAMES)
    assert len(set(many.values())) == len(NAMES)
    assert all(name.isidentifier() for name in many.values())


def test_export_odd_name_is_an_argument_in_python(tmp_path: Path) -> None:
    from redraw.compat.tensorflow import build_meta_graph
    from redraw.export.graph.tracing import restore_names

    names = argument_names(["image/encoded", "user-id"])
    first, second = names.values()

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": inputs[first] + 2.0 * inputs[second]}

    specs = {name: tf.TensorSpec([None], tf.float32, name) for name in (first, second)}
    function = tf.function(serve, autograph=False).get_concrete_function(**specs)
    meta_graph, _ = build_meta_graph(tf.Module(), {"serve": function}, tf.saved_model.SaveOptions())
    restore_names(meta_graph, "serve", names)
    tf.saved_model.save(tf.Module(), str(tmp_path))
    model = tf.compat.v1.MetaGraphDef()
    model.CopyFrom(meta_graph)
    model.meta_info_def.tags[:] = ["serve"]
    from tensorflow.core.protobuf import saved_model_pb2

    stored = saved_model_pb2.SavedModel(saved_model_schema_version=1, meta_graphs=[model])
    (tmp_path / "saved_model.pb").write_bytes(stored.SerializeToString())
    served = tf.saved_model.load(str(tmp_path)).signatures["serve"]
    answer = served(**{"image/encoded": tf.constant([1.0]), "user-id": tf.constant([10.0])})
    np.testing.assert_array_equal(answer["y"], [21.0])
