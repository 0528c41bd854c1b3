"""A definition that states its signatures, `build` and `serve`, and nothing that only training needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from redraw.definition.describe import describe_models
from redraw.definition.source_text import read_definition_text
from redraw.errors import InvalidDefinition, ValidationFailed
from redraw.export.export import export_model
from redraw.records import ValidationReport
from redraw.requests import ExportRequest, ModelsRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.validate.validator import Validator
from tests.paths import TESTS
from tests.sample_models.line_module import Line

_MODULES = {
    "line": """
from redraw.definition import ModelDefinition, Signature, TensorSpec
from sample_models.line_module import Line

class OnlyExports(ModelDefinition):
    signatures = {"serving_default": Signature(
        inputs={"x": TensorSpec("float32", (None, 1))}, outputs={"y": TensorSpec("float32", (None, 1))})}

    def build(self, mode):
        return Line(drop=False)

    def serve(self, network, signature, inputs):
        return {"y": network(inputs["x"])}
""",
    "graph": """
import tensorflow as tf
from redraw.definition import GraphFunctionDefinition, Signature, TensorSpec

class OnlyExports(GraphFunctionDefinition):
    signatures = {"serving_default": Signature(
        inputs={"x": TensorSpec("float32", (None, 1))}, outputs={"y": TensorSpec("float32", (None, 1))})}

    def graph(self, mode, features):
        slope, offset = (tf.compat.v1.get_variable(n, s) for n, s in (("slope", [1, 1]), ("offset", [1])))
        return features * slope + offset

    def serve(self, network, signature, inputs):
        return {"y": network(inputs["x"])}
""",
}
_GOLDEN = """
    def golden_examples(self):
        from redraw.definition import GoldenExamples
        return {"serving_default": GoldenExamples(inputs={"x": [[1.0], [2.0]]})}
"""

Announce = Callable[[str, str], str]


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Announce:
    """Makes a model of a package of the test's own, and a checkpoint of it."""

    def write(kind: str, more: str) -> str:
        package = tmp_path / f"only_{kind}_{tmp_path.name}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / f"{kind}.py").write_text(_MODULES[kind] + more)
        monkeypatch.syspath_prepend(str(TESTS))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("REDRAW_MODELS", package.name)
        line = Line(drop=False)
        line.slope.assign([[3.0]])
        root = tf.train.Checkpoint(model=line) if kind == "line" else _Named(line)
        return str(root.write(str(tmp_path / "ckpt-4")))

    return write


class _Named:
    """What a TF1 Saver keeps: variables by their names."""

    def __init__(self, line: Line) -> None:
        self._values = {"slope": line.slope.numpy(), "offset": line.offset.numpy()}

    def write(self, prefix: str) -> str:
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=list(self._values),
            shape_and_slices=[""] * len(self._values),
            tensors=list(map(tf.constant, self._values.values())),
        )
        return prefix


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as one:
        yield one


@pytest.mark.parametrize(
    ("kind", "more"), [("line", ""), ("line", _GOLDEN), ("graph", ""), ("graph", _GOLDEN)]
)
def test_validate_definition_without_data_says_what_was_compared(
    kind: str, more: str, announce: Announce, validator: Validator, tmp_path: Path
) -> None:
    checkpoint, out = announce(kind, more), str(tmp_path / "out")
    export_model(ExportRequest.from_json({"model": kind, "checkpoint": checkpoint, "out": out}))
    request = {"model": kind, "saved_model": out, "report": str(tmp_path / "report.json")}
    if more:
        validator.validate(ValidateRequest.from_json(request))
    else:
        with pytest.raises(
            ValidationFailed, match="held-out-examples: .* the definition has no evaluation data"
        ):
            validator.validate(ValidateRequest.from_json(request))

    report = ValidationReport.from_text((tmp_path / "report.json").read_bytes(), "report")
    checks = {check.name: check for check in report.checks}
    unmade = {name: check for name, check in checks.items() if check.status != "passed"}
    assert set(unmade) == {"graphs-compared", "held-out-examples", "live-answers", "reference-answers"}
    assert {check.status for check in unmade.values()} == {"not_run"}
    assert "without training_data, evaluation_data, loss" in unmade["graphs-compared"].found
    assert [name for name, check in unmade.items() if not check.admits] == (
        [] if more else ["held-out-examples"]
    )
    assert report.proofs == ("golden-examples",)


def test_validate_definition_without_data_passes_by_a_reference_alone(
    announce: Announce, validator: Validator, tmp_path: Path
) -> None:
    checkpoint, out = announce("line", ""), str(tmp_path / "out")
    export_model(ExportRequest.from_json({"model": "line", "checkpoint": checkpoint, "out": out}))
    request = {"model": "line", "saved_model": out, "report": str(tmp_path / "report.json")}

    report = validator.validate(ValidateRequest.from_json({**request, "reference": out}))

    checks = {check.name: check for check in report.checks}
    assert "the check reference-answers compares" in checks["held-out-examples"].waived
    assert "the answers to 200 rows" in checks["reference-answers"].looked_at
    assert report.proofs == ("golden-examples", "reference-answers")


def test_train_of_what_only_exports_says_what_is_missing_before_anything_starts(
    announce: Announce, tmp_path: Path
) -> None:
    announce("line", "\n    def training_data(self):\n        raise NotImplementedError\n")

    with pytest.raises(
        InvalidDefinition, match="expected evaluation_data, loss, got none: this definition only exports"
    ):
        train_model(TrainRequest.from_json({"model": "line", "out": str(tmp_path / "run")}))
    assert not (tmp_path / "run").exists()
    (described,) = describe_models(ModelsRequest()).models
    assert not described.trains


_DATA = (
    "\n    def training_data(self): ...\n    def evaluation_data(self): ...\n    def loss(self, a, b): ...\n"
)


@pytest.mark.parametrize(
    ("text", "trains"),
    [
        ("class A(ModelDefinition):\n    def build(self): ...\n", False),
        (f"class A(redraw.ModelDefinition):{_DATA}", True),
        (f"class A(RecordedDefinition):{_DATA}", False),
        (f"class Net(tf.Module): ...\nclass A(GraphFunctionDefinition):{_DATA}", True),
        ("class Net(tf.Module): ...\nclass A(GraphFunctionDefinition):\n    loss = None\n", False),
        ("class A(SomebodysBase):\n    x = 1\n", True),
        ("class A(Mixin, ModelDefinition):\n    x = 1\n", True),
        ("class Base(ModelDefinition):\n    x = 1\nclass A(Base):\n    x = 2\n", True),
        ("x = 1\n", True),
    ],
)
def test_read_definition_text_tells_what_only_exports(text: str, trains: bool) -> None:
    assert read_definition_text(text).trains is trains
