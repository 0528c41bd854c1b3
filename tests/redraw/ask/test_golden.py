from dataclasses import replace

import pytest

from redraw.ask.golden import predict_golden
from redraw.errors import InvalidDefinition, VersionNotFound
from redraw.publish.push.push import push_model
from redraw.records import ExportedModel, ValidationReport
from redraw.requests import PredictRequest, PushRequest


@pytest.fixture
def published(mnist_export: ExportedModel, bucket: str) -> str:
    """A bucket with MNIST published, and nothing live."""
    report = ValidationReport(
        model="mnist",
        digest=mnist_export.digest,
        checks=(),
        passed=True,
        validated_at="2024-05-06T08:00:00Z",
    )
    push_model(PushRequest(model="mnist", saved_model=mnist_export, report=report, bucket=bucket))
    return bucket


def test_predict_published_version_answers_its_labelled_examples(
    published: str, mnist_export: ExportedModel
) -> None:
    trained = mnist_export.checkpoint.trained_at
    version = int("".join(c for c in trained if c.isdigit()) + "00")
    found = predict_golden(PredictRequest(model="mnist", bucket=published, version=version))
    assert found.uri == f"{published}/mnist/{version}"
    assert [row.label for row in found.rows] == list(range(10))
    assert all(row.correct == (row.label == row.answer) for row in found.rows)
    assert sum(row.correct for row in found.rows) >= 9


def test_predict_without_a_live_version_says_so(published: str) -> None:
    with pytest.raises(VersionNotFound, match="expected a live version, found none"):
        predict_golden(PredictRequest(model="mnist", bucket=published))


def test_predict_absent_version_is_named(published: str) -> None:
    with pytest.raises(VersionNotFound, match=r"mnist/2020010100000000: expected a published version"):
        predict_golden(PredictRequest(model="mnist", bucket=published, version=2020010100000000))


def test_predict_definition_without_labels_is_refused(
    published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redraw.models.mnist import Mnist

    examples = Mnist().golden_examples()
    unlabelled = {name: replace(example, labels={}) for name, example in examples.items()}
    monkeypatch.setattr(Mnist, "golden_examples", lambda self: unlabelled)
    with pytest.raises(InvalidDefinition, match="expected golden examples with labels"):
        predict_golden(PredictRequest(model="mnist", bucket=published))
