import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.select import select_checkpoint
from redraw.errors import (
    CheckpointCorrupt,
    CheckpointMismatch,
    CheckpointNotFound,
    DiskFull,
    InvalidName,
    OutputExists,
)
from redraw.export.export import export_model
from redraw.inspect.inspect import inspect_uri
from redraw.records import Checkpoint, ExportedModel
from redraw.requests import CheckpointRequest, ExportRequest, InspectRequest, TrainRequest
from redraw.storage.files import digest_tree
from redraw.train.train import train_model
from tests.paths import TESTS

MNIST_WITH = """
import keras
from redraw.definition import Mode
from redraw.models.mnist import Mnist

class Changed(Mnist):
    training_only = ({training_only})

    def build(self, mode):
        network = super().build(mode)
        hidden = network.get_layer("dense").output
        if mode is Mode.{mode}:
            {change}
        return network
"""


SERVED = "average/_operations/1/bias/.ATTRIBUTES/VARIABLE_VALUE"


def export(checkpoint: Checkpoint | str, out: Path, model: str = "mnist", **more: object) -> ExportedModel:
    return export_model(ExportRequest(model=model, checkpoint=checkpoint, out=str(out), **more))  # type: ignore[arg-type]


def test_export_answers_digits_from_pixels_and_files(mnist_export: ExportedModel) -> None:
    from redraw.models.mnist import Mnist

    model = tf.saved_model.load(mnist_export.uri)
    examples = Mnist().golden_examples()
    pixels = model.signatures["serving_default"](
        image=tf.constant(examples["serving_default"].inputs["image"])
    )
    files = model.signatures["serving_png"](png=tf.constant(examples["serving_png"].inputs["png"]))
    labels = examples["serving_default"].labels["digit"]
    assert np.sum(pixels["digit"].numpy() == labels) >= 9
    np.testing.assert_array_equal(pixels["digit"], files["digit"])
    np.testing.assert_allclose(pixels["probabilities"], files["probabilities"], atol=1e-6)


@pytest.mark.parametrize("size", [(28, 28), (56, 40)])
def test_export_decodes_png_of_any_size(mnist_export: ExportedModel, size: tuple[int, int]) -> None:
    blank = tf.io.encode_png(np.zeros((*size, 3), np.uint8)).numpy()
    answer = tf.saved_model.load(mnist_export.uri).signatures["serving_png"](png=tf.constant([blank]))
    assert answer["probabilities"].shape == [1, 10]


def test_export_serves_the_averages_and_nothing_else(
    mnist_export: ExportedModel, mnist_checkpoint: Checkpoint
) -> None:
    saved = TensorBundle(Path(mnist_export.uri) / "variables" / "variables")
    source = TensorBundle(Path(mnist_checkpoint.uri) / mnist_checkpoint.prefix)
    ledger = json.loads(Path(mnist_export.ledger_uri).read_text())
    values = sorted(
        saved.read_array(key).tobytes() for key in saved.entries if key != "_CHECKPOINTABLE_OBJECT_GRAPH"
    )
    assert all(row["key"].startswith("average/") for row in ledger["served"])
    assert values == sorted(source.read_array(row["key"]).tobytes() for row in ledger["served"])
    assert len(ledger["served"]) == 16


def test_export_ledger_explains_every_tensor(
    mnist_export: ExportedModel, mnist_checkpoint: Checkpoint
) -> None:
    source = TensorBundle(Path(mnist_checkpoint.uri) / mnist_checkpoint.prefix)
    ledger = json.loads(Path(mnist_export.ledger_uri).read_text())
    named = [row["key"] for row in ledger["served"]] + [row["key"] for row in ledger["dropped"]]
    assert sorted(named) == sorted(source.entries)
    summary = mnist_export.ledger
    assert summary.served == 16
    assert summary.served + sum(summary.dropped.values()) == len(source.entries)
    assert summary.dropped["model weight"] == 16
    assert summary.dropped["random seed"] == 2


def test_export_raw_weights_serves_the_others(
    mnist_export: ExportedModel, mnist_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    raw = export(mnist_checkpoint, tmp_path / "raw", weights="raw")
    ledger = json.loads(Path(raw.ledger_uri).read_text())
    assert raw.weights == "raw"
    assert raw.digest != mnist_export.digest
    assert not any(row["key"].startswith("average/") for row in ledger["served"])


def test_export_graph_has_neither_dropout_nor_shifts(mnist_export: ExportedModel) -> None:
    described = inspect_uri(InspectRequest(uri=mnist_export.uri))
    operations = set(described.operations)  # type: ignore[union-attr]
    assert "Conv2D" in operations
    random = {"RandomUniform", "StatelessRandomUniformV2", "StatelessRandomGetKeyCounter"}
    assert not operations & (random | {"ImageProjectiveTransformV3", "ResourceApplyAdam"})


def test_export_record_and_digest_are_true(mnist_export: ExportedModel) -> None:
    folder = Path(mnist_export.uri)
    record = ExportedModel.from_text(Path(f"{folder}.json").read_bytes(), "record")
    assert record == mnist_export
    assert (mnist_export.digest, mnist_export.size_bytes) == digest_tree(folder)


def test_export_warm_up_requests_are_the_golden_examples(mnist_export: ExportedModel) -> None:
    path = Path(mnist_export.uri) / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    requests = {log.predict_log.request.model_spec.signature_name: log.predict_log.request for log in logs}
    assert sorted(requests) == ["serving_default", "serving_png"]
    image = tf.make_ndarray(requests["serving_default"].inputs["image"])
    assert (image.dtype, image.shape) == (np.uint8, (10, 28, 28))


@pytest.mark.parametrize("model", ["line_module", "line_graph"])
def test_export_other_kinds_of_network_answer(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")
    run = train_model(TrainRequest(model=model, out=str(tmp_path / "run"), max_steps=40))
    request = CheckpointRequest(model=model, source=run, catalogue=str(tmp_path / "cat"), latest=True)
    exported = export(select_checkpoint(request), tmp_path / "out", model=model)
    answer = tf.saved_model.load(exported.uri).signatures["serving_default"](x=tf.constant([[2.0], [0.0]]))
    slope, offset = (answer["y"][0, 0] - answer["y"][1, 0]) / 2, answer["y"][1, 0]
    assert exported.ledger.served == 2
    assert slope > 0.01
    assert offset < -0.01


def changed_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, mode: str = "SERVE", training_only: str = ""
) -> str:
    package = tmp_path / f"package_{abs(hash((change, mode, training_only)))}"
    package.mkdir()
    (package / "__init__.py").touch()
    name = "changed"
    source = MNIST_WITH.format(change=change, mode=mode, training_only=training_only)
    (package / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    return name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "return keras.Model(network.input, keras.layers.Dense(10, name='digits')(hidden))",
            r"served variable 'digits/bias': expected its value in the checkpoint, got none; the nearest",
        ),
        (
            "return keras.Model(network.input, keras.layers.Dense(11, name='logits')(hidden))",
            r"served variable 'logits/bias': expected float32 \[11\], got float32 \[10\] under 'average/",
        ),
        (
            "return keras.Model(network.input, hidden[:, :10])",
            r"weights that the served model does not use: logits/bias, logits/kernel \(2 in all\)",
        ),
    ],
)
def test_export_network_that_does_not_fit_the_checkpoint_is_refused_by_its_variables(
    change: str, message: str, mnist_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed_model(tmp_path, monkeypatch, change)
    with pytest.raises(CheckpointMismatch, match=message):
        export(replace(mnist_checkpoint, model=model), tmp_path / "out", model=model)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("package")] == []


def test_export_weights_declared_training_only_are_dropped_by_that_rule(
    mnist_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed_model(
        tmp_path,
        monkeypatch,
        "return keras.Model(network.input, hidden[:, :10])",
        training_only="'logits/*',",
    )
    exported = export(replace(mnist_checkpoint, model=model), tmp_path / "out", model=model)
    assert exported.ledger.dropped["training only"] == 2
    assert exported.ledger.served == 14


def test_export_checkpoint_of_another_model_is_refused(mnist_checkpoint: Checkpoint, tmp_path: Path) -> None:
    other = replace(mnist_checkpoint, model="other")
    with pytest.raises(
        CheckpointMismatch, match="expected a checkpoint of model 'mnist', got one of 'other'"
    ):
        export(other, tmp_path / "out")


@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_export_checkpoint_folder_without_one_is_refused(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    with pytest.raises(CheckpointNotFound):
        export(str(folder), tmp_path / "out")


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_export_damaged_checkpoint_is_refused_and_leaves_nothing(
    damage: str, mnist_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(mnist_checkpoint.uri, folder)
    (data,) = folder.glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[TensorBundle(folder / "weights").entries[SERVED].offset] ^= 1
    if damage == "missing":
        data.unlink()
    else:
        data.write_bytes(content)
    with pytest.raises(CheckpointCorrupt, match=r"weights\.data"):
        export(replace(mnist_checkpoint, uri=str(folder)), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]


def test_export_into_a_folder_that_holds_something_is_refused(
    mnist_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OutputExists, match="expected a new or empty folder"):
        export(mnist_checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_export_into_what_tensorflow_takes_for_a_pattern_is_refused(
    mnist_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(InvalidName, match=r"reads as a file pattern, got \[\. Choose another path"):
        export(mnist_checkpoint, tmp_path / "model[1]")
    assert list(tmp_path.iterdir()) == []


def test_export_into_an_empty_folder_is_allowed(mnist_checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert export(mnist_checkpoint, tmp_path / "out").size_bytes > 0


def test_export_onto_a_full_disk_leaves_nothing(mnist_checkpoint: Checkpoint, tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"x" * 600_000)
    with pytest.raises(DiskFull, match="Free some space"):
        export(mnist_checkpoint, tiny_disk / "out")
    assert [path.name for path in tiny_disk.iterdir()] == ["ballast"]
