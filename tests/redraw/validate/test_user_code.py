"""A definition whose code fails while its export is examined: a report all the same, and one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redraw.errors import ValidationFailed
from redraw.export.export import export_model
from redraw.records import Check, ExportedModel, ValidationReport
from redraw.requests import ExportRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.validate.plan import PLAN
from redraw.validate.validator import Validator
from tests.paths import TESTS

_DEFINITION = """
import os
from sample_models.line_module import LineDefinition

def fail(method):
    if os.environ.get("FAILS") == method:
        raise RuntimeError("not today")

class Moody(LineDefinition):
    def golden_examples(self):
        fail("golden_examples")
        return super().golden_examples()
    def evaluation_data(self):
        fail("evaluation_data")
        return super().evaluation_data()
    def training_data(self):
        fail("training_data")
        return super().training_data()
    def serve(self, network, signature, inputs):
        fail("serve")
        return super().serve(network, signature, inputs)
    def build(self, mode):
        fail("build")
        return super().build(mode)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportedModel]:
    """An export of a definition that fails in the method that FAILS names."""
    root = tmp_path_factory.mktemp("moody")
    package = root / "moody_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "moody.py").write_text(_DEFINITION)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        patch.syspath_prepend(str(root))
        patch.setenv("REDRAW_MODELS", package.name)
        run = train_model(TrainRequest(model="moody", out=str(root / "run"), max_steps=4))
        checkpoint = f"{run.uri}/checkpoints/ckpt-4"
        yield export_model(ExportRequest(model="moody", checkpoint=checkpoint, out=str(root / "model")))


@pytest.fixture
def examine(
    exported: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[dict[str, Check], str]]:
    """Validates while one of the definition's methods fails: the checks, and the error's line."""

    def validate(method: str) -> tuple[dict[str, Check], str]:
        monkeypatch.setenv("FAILS", method)
        report = tmp_path / "report.json"
        request = ValidateRequest(model="moody", saved_model=exported, report=str(report))
        with Validator() as validator, pytest.raises(ValidationFailed) as caught:
            validator.validate(request)
        written = ValidationReport.from_text(report.read_bytes(), "report")
        assert [check.name for check in written.checks] == [planned.name for planned in PLAN]
        return {check.name: check for check in written.checks}, str(caught.value)

    return validate


@pytest.mark.parametrize("method", ["golden_examples", "evaluation_data", "training_data", "serve", "build"])
def test_validate_definition_that_fails_is_reported(
    method: str, examine: Callable[[str], tuple[dict[str, Check], str]]
) -> None:
    checks, line = examine(method)
    assert any("not today" in check.found for check in checks.values())
    assert "RuntimeError: " in line
    failed = {check.found for check in checks.values() if check.status == "failed"}
    assert line.count("not today") == max(1, len(failed))
    assert "it needs the check" not in line
    assert checks["digest"].status == checks["finite-weights"].status == "passed"
