"""`predict` of a model whose inputs and outputs have names that are no identifiers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from redraw.ask import golden
from redraw.ask.golden import predict_golden
from redraw.definition import GoldenExamples
from redraw.publish.push.push import push_model
from redraw.records import ValidationReport
from redraw.requests import PredictRequest, PushRequest
from tests.defects.bases import export_definition, train_definition
from tests.defects.in_odd_names import OddGraph, OddNames


@pytest.mark.parametrize("kind", [OddNames, OddGraph])
def test_predict_names_of_any_form_answers_the_labelled_examples(
    kind: type[OddNames], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Labelled(kind):  # type: ignore[misc, valid-type]
        def golden_examples(self) -> Mapping[str, GoldenExamples]:
            labels = {"lambda": np.zeros([3, 1], np.float32)}
            return {"serving_default": GoldenExamples(inputs=self.rows(3), labels=labels)}

    definition = Labelled()
    checkpoint = train_definition(definition, "odd_names", tmp_path)
    exported = export_definition(definition, checkpoint, tmp_path / "model")
    report = ValidationReport(
        model="odd_names",
        digest=exported.digest,
        checks=(),
        passed=True,
        validated_at="2024-05-06T08:00:00Z",
    )
    release = push_model(PushRequest(model="odd_names", saved_model=exported, report=report, bucket=bucket))
    monkeypatch.setattr(golden, "load_definition", lambda _: definition)

    found = predict_golden(PredictRequest(model="odd_names", bucket=bucket, version=release.version))

    assert (found.output, len(found.rows)) == ("lambda", 3)
    assert not any(row.correct for row in found.rows)
