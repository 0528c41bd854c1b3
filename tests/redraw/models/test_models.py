import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.select import select_checkpoint
from redraw.definition.registry import load_definition
from redraw.errors import InvalidSetting
from redraw.export.export import export_model
from redraw.models.recommender import Recommender
from redraw.records import Checkpoint, ExportedModel, TrainingRun
from redraw.requests import CheckpointRequest, ExportRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.validate.validator import validate_model
from tests.paths import ROOT

DATA = ROOT / "tasks" / "redraw" / "models" / "data"

Trained = Callable[[str], Checkpoint]


@pytest.fixture(scope="module")
def trained(trained_run: Callable[[str], TrainingRun], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The checkpoint of a model that ships, trained at full length, once."""
    found: dict[str, Checkpoint] = {}

    def train(model: str) -> Checkpoint:
        if model not in found:
            catalogue = str(tmp_path_factory.mktemp(model))
            request = CheckpointRequest(
                model=model, source=trained_run(model), catalogue=catalogue, latest=True
            )
            found[model] = select_checkpoint(request)
        return found[model]

    return train


@pytest.fixture
def export() -> Callable[[Checkpoint, Path], ExportedModel]:
    """Exports a checkpoint."""

    def exported(checkpoint: Checkpoint, out: Path) -> ExportedModel:
        return export_model(ExportRequest(model=checkpoint.model, checkpoint=checkpoint, out=str(out)))

    return exported


Exporter = Callable[[Checkpoint, Path], ExportedModel]


@pytest.mark.parametrize("model", ["digits_graph", "text_classifier", "recommender"])
def test_validate_model_that_ships_passes_every_check(
    model: str, trained: Trained, export: Exporter, tmp_path: Path
) -> None:
    checkpoint = trained(model)
    exported = export(checkpoint, tmp_path / "model")
    request = ValidateRequest(model=model, saved_model=exported, report=str(tmp_path / "report.json"))
    report = validate_model(request)
    # No other witness is named, and no version is live.
    unasked = ["reference-answers", "live-answers"]
    assert [check.name for check in report.checks if check.status != "passed"] == unasked
    assert checkpoint.averages == (model != "recommender")


@pytest.mark.parametrize(
    ("model", "output", "right"),
    [("digits_graph", "digit", 9), ("text_classifier", "topic", 6), ("recommender", "likes", 8)],
)
def test_export_model_that_ships_answers_its_golden_examples(
    model: str, output: str, right: int, trained: Trained, export: Exporter, tmp_path: Path
) -> None:
    exported = export(trained(model), tmp_path / "model")
    example = load_definition(model).golden_examples()["serving_default"]
    serve = tf.saved_model.load(exported.uri).signatures["serving_default"]
    answer = serve(**{name: tf.constant(value) for name, value in example.inputs.items()})
    assert np.sum(answer[output].numpy() == example.labels[output]) >= right


def test_export_digits_graph_answers_in_the_cpp_loader(
    trained: Trained, export: Exporter, ask_cpp_loader: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    exported = export(trained("digits_graph"), tmp_path / "model")
    example = load_definition("digits_graph").golden_examples()["serving_default"]
    images = example.inputs["image"]
    digits = ask_cpp_loader(exported.uri, "serving_default_image:0", images, "serving_default_digit_answer:0")
    served = tf.saved_model.load(exported.uri).signatures["serving_default"](image=tf.constant(images))
    np.testing.assert_array_equal(digits, served["digit"])
    assert np.sum(digits == example.labels["digit"]) >= 9


def test_export_text_classifier_carries_its_vocabulary(
    trained: Trained, export: Exporter, tmp_path: Path
) -> None:
    exported = export(trained("text_classifier"), tmp_path / "model")
    asset = Path(exported.uri) / "assets" / "support_vocabulary.txt"
    assert asset.read_bytes() == (DATA / "support_vocabulary.txt").read_bytes()
    asset.write_text(asset.read_text().replace("refund\n", "gobbledygook\n"))
    serve = tf.saved_model.load(exported.uri).signatures["serving_default"]
    chances = serve(text=tf.constant(["gobbledygook", "refund", "courier"]))["probabilities"].numpy()
    assert np.argmax(chances, axis=1)[0] == 0
    assert not np.allclose(chances[0], chances[1])


def test_list_vocabulary_of_the_text_classifier_is_the_words_it_learns_from() -> None:
    lines = (DATA / "support_requests.tsv").read_text().splitlines()
    learned = [line.partition("\t")[2] for number, line in enumerate(lines) if number % 5]
    words = {word for text in learned for word in re.sub(r"[^\w\s]", "", text.lower()).split()}
    assert (DATA / "support_vocabulary.txt").read_text().split() == sorted(words)
    assert len(set(lines)) == len(lines) == 240


def test_train_recommender_table_has_the_rows_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_RECOMMENDER_ROWS", "123456")
    train_model(TrainRequest(model="recommender", out=str(tmp_path / "run"), max_steps=2))
    entries = TensorBundle(tmp_path / "run" / "checkpoints" / "ckpt-2").entries
    assert sum(entry.shape == (123456, 16) for entry in entries.values()) == 3


def test_build_recommender_in_parts_looks_up_what_one_table_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from redraw.definition import Mode

    monkeypatch.setenv("REDRAW_RECOMMENDER_ROWS", "10001")
    monkeypatch.setenv("REDRAW_RECOMMENDER_PARTS", "3")
    table = Recommender().build(Mode.SERVE).get_layer("table")
    parts = [weight.numpy() for weight in table.weights]
    assert [part.shape for part in parts] == [(3334, 16), (3334, 16), (3333, 16)]
    ids = np.array([0, 3333, 3334, 6668, 10000, 5])
    np.testing.assert_array_equal(table(tf.constant(ids)), np.concatenate(parts)[ids])


def test_export_recommender_in_parts_keeps_each_as_a_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_RECOMMENDER_PARTS", "3")
    run = train_model(TrainRequest(model="recommender", out=str(tmp_path / "run"), max_steps=2))
    checkpoint = str(Path(run.uri) / "checkpoints")
    request = ExportRequest(model="recommender", checkpoint=checkpoint, out=str(tmp_path / "out"))
    entries = TensorBundle(Path(export_model(request).uri) / "variables" / "variables").entries
    assert sum(entry.shape[1:] == (16,) for entry in entries.values()) == 3


@pytest.mark.parametrize("parts", ["0", "-1", "two"])
def test_build_recommender_in_absurd_parts_is_refused(parts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from redraw.definition import Mode

    monkeypatch.setenv("REDRAW_RECOMMENDER_PARTS", parts)
    with pytest.raises(InvalidSetting, match=f"PARTS: expected a whole number of at least 1, got '{parts}'"):
        Recommender().build(Mode.SERVE)


@pytest.mark.parametrize("rows", ["many", "-5", "9999", "1e6"])
def test_build_recommender_with_absurd_rows_is_refused(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from redraw.definition import Mode

    monkeypatch.setenv("REDRAW_RECOMMENDER_ROWS", rows)
    with pytest.raises(InvalidSetting, match=f"expected a whole number of at least 10000, got '{rows}'"):
        Recommender().build(Mode.SERVE)
