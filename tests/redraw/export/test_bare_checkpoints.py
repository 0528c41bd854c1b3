"""Exports of checkpoints that no catalogue knows, and of what must not be served."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import CheckpointCorrupt, CheckpointMismatch, NonFiniteWeights
from redraw.export.export import export_model
from redraw.records import Checkpoint, ExportedModel
from redraw.requests import ExportRequest, ValidateRequest
from redraw.storage.files import digest_tree
from redraw.storage.opening import open_storage
from redraw.validate.validator import validate_model
from tests.paths import TESTS


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")


def export(checkpoint: Path | str, out: Path, model: str = "foreign_net", **more: Any) -> ExportedModel:
    return export_model(ExportRequest(model=model, checkpoint=str(checkpoint), out=str(out), **more))


def answer(folder: str, x: np.ndarray) -> np.ndarray:
    served = tf.saved_model.load(folder).signatures["serving_default"](x=tf.constant(x))
    return np.asarray(served["y"].numpy())


def computed(x: np.ndarray, weights: Mapping[str, np.ndarray], norm: str) -> np.ndarray:
    """What the network answers, computed by hand."""
    w = {name.removeprefix("net/").replace(norm, "norm"): value for name, value in weights.items()}
    hidden = x @ w["hidden/kernel"] + w["hidden/bias"]
    scale = w["norm/gamma"] / np.sqrt(w["norm/moving_variance"] + 1e-3)
    hidden = (hidden - w["norm/moving_mean"]) * scale + w["norm/beta"]
    return np.asarray(hidden @ w["answer/kernel"] + w["answer/bias"])


X = np.random.default_rng(3).random((5, 4), np.float32)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("ckpt", "tensor_bundle"),
        ("saved_model", "tensor_bundle"),
        ("model.h5", "keras_h5"),
        ("weights.h5", "keras_h5"),
    ],
)
@pytest.mark.parametrize("weights", ["raw", "average"])
def test_export_bare_file_of_keras_2_answers_like_its_weights(
    name: str, format_name: str, weights: str, keras_2_files: Any, tmp_path: Path
) -> None:
    if (name, weights) == ("weights.h5", "average"):
        with pytest.raises(CheckpointMismatch, match="expected average weights"):
            export(keras_2_files.folder / name, tmp_path / "out", weights=weights)
        return
    exported = export(keras_2_files.folder / name, tmp_path / "out", weights=weights)
    values = {**keras_2_files.values, **(keras_2_files.averages if weights == "average" else {})}
    assert exported.checkpoint.format == format_name
    expected = computed(X, values, "batch_normalization")
    np.testing.assert_allclose(answer(exported.uri, X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ckpt", "model.h5"])
def test_validate_export_of_a_bare_file_compares_with_its_tensors(
    name: str, keras_2_files: Any, tmp_path: Path
) -> None:
    exported = export(keras_2_files.folder / name, tmp_path / "out")
    request = ValidateRequest(
        model="foreign_net",
        saved_model=exported,
        report=str(tmp_path / "report.json"),
        waive=("graphs-compared=trained elsewhere", "held-out-examples=trained elsewhere"),
    )
    checks = {check.name: check for check in validate_model(request).checks}
    assert "assigned by the restore ledger" in checks["golden-examples"].looked_at


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_export_bare_keras_3_file_answers_and_is_described(
    name: str, keras_3_files: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    shutil.copy(keras_3_files.folder / name, path)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    # The layer that the definition leaves to Keras' naming was named by hand in training.
    with pytest.raises(CheckpointMismatch, match="net/batch_normalization/beta"):
        export(path, tmp_path / "refused")
    exported = export(path, tmp_path / "out", model="named_net")
    found = exported.checkpoint
    assert (found.uri, found.prefix, found.step, found.metrics) == (str(path), "", 1, {})
    assert found.trained_at == f"{datetime.fromtimestamp(1_700_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert found.size_bytes == path.stat().st_size
    assert len(found.digest) == 64
    expected = computed(X, keras_3_files.values, "norm")
    np.testing.assert_allclose(answer(exported.uri, X), expected, rtol=1e-5, atol=1e-6)


def line_checkpoint(prefix: Path, slope: float = 3.0, **more: np.ndarray) -> Path:
    with BundleWriter(prefix) as writer:
        writer.add_array("slope", np.array([[slope]], np.float32))
        writer.add_array("offset", np.array([-1], np.float32))
        writer.add_array("global_step", np.int64(77))
        for name, value in more.items():
            writer.add_array(name, value)
    return prefix


def test_export_by_step_of_a_folder_takes_that_checkpoint(tmp_path: Path) -> None:
    for step, slope in ((5, 2.0), (6, 3.0)):
        line_checkpoint(tmp_path / "run" / f"model.ckpt-{step}", slope)
    exported = export(tmp_path / "run", tmp_path / "out", model="named_line", step=5)
    assert exported.checkpoint.uri.endswith("model.ckpt-5")
    assert exported.checkpoint.step == 77
    assert answer(exported.uri, np.float32([[1], [0]])).ravel().tolist() == [1.0, -1.0]


def test_export_from_a_bucket_is_the_same_as_from_here(tmp_path: Path, bucket: str) -> None:
    line_checkpoint(tmp_path / "run" / "model.ckpt-5")
    for path in (tmp_path / "run").iterdir():
        open_storage(bucket).create(f"run/{path.name}", path)
    remote = export(f"{bucket}/run/model.ckpt-5", tmp_path / "remote", model="named_line")
    local = export(tmp_path / "run" / "model.ckpt-5", tmp_path / "local", model="named_line")
    assert remote.checkpoint.digest == local.checkpoint.digest
    assert remote.checkpoint.uri == f"{bucket}/run/model.ckpt-5"
    assert remote.checkpoint.trained_at >= local.checkpoint.trained_at
    np.testing.assert_array_equal(answer(remote.uri, X[:, :1]), answer(local.uri, X[:, :1]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_export_weights_that_are_not_finite_is_refused_unless_allowed(value: float, tmp_path: Path) -> None:
    path = line_checkpoint(tmp_path / "model.ckpt-5", value)
    message = r"1 in 'slope' \(checkpoint key 'slope'\), 1 of 2 variables"
    with pytest.raises(NonFiniteWeights, match=message):
        export(path, tmp_path / "out", model="named_line")
    assert not (tmp_path / "out").exists()
    exported = export(path, tmp_path / "out", model="named_line", allow_non_finite=True)
    ledger = json.loads(Path(exported.ledger_uri).read_text())
    assert ledger["non_finite"] == [{"variable": "slope", "count": 1}]


def test_export_of_what_is_not_finite_and_not_served_is_no_finding(tmp_path: Path) -> None:
    path = line_checkpoint(tmp_path / "model.ckpt-5", **{"slope/Adam": np.array([[np.nan]], np.float32)})
    exported = export(path, tmp_path / "out", model="named_line")
    assert json.loads(Path(exported.ledger_uri).read_text())["non_finite"] == []


def test_export_archive_with_a_lambda_or_an_unknown_class_is_refused(tmp_path: Path) -> None:
    import keras

    class Doubled(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    x = keras.Input((4,))
    for name, layer in (("Lambda", keras.layers.Lambda(lambda y: y)), ("Doubled", Doubled())):
        keras.Model(x, layer(x)).save(tmp_path / f"{name}.keras")
        with pytest.raises(CheckpointMismatch, match=rf"got .*{name}.*, whose code Redraw does not load"):
            export(tmp_path / f"{name}.keras", tmp_path / "out")


def test_export_archive_with_code_inside_of_its_layers_is_refused(tmp_path: Path) -> None:
    import keras

    inner = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda y: y)], name="inner")
    wrapped = keras.Sequential([keras.Input((2, 4)), keras.layers.TimeDistributed(inner)])
    wrapped.save(tmp_path / "nested.keras")
    with pytest.raises(CheckpointMismatch, match="got .*Lambda.*, whose code Redraw does not load"):
        export(tmp_path / "nested.keras", tmp_path / "out")
    activated = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation=lambda y: y)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of the lambda and of NumPy 2
        activated.save(tmp_path / "function.keras")
    with pytest.raises(CheckpointMismatch, match="__lambda__.*, whose code Redraw does not load"):
        export(tmp_path / "function.keras", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_export_archive_with_a_class_that_the_definition_registers_is_served(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable(package="gaps")
    class Same(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    layers = [
        keras.layers.Dense(3, name="hidden"),
        Same(),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(2, name="answer"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers], name="net")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2
        model.save(tmp_path / "model.keras")
    exported = export(tmp_path / "model.keras", tmp_path / "out", model="named_net")
    np.testing.assert_allclose(answer(exported.uri, X), model(X), rtol=1e-5, atol=1e-6)


def test_export_files_that_are_not_those_of_the_record_is_refused(
    mnist_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDRAW_MODELS")
    folder = tmp_path / "checkpoint"
    shutil.copytree(mnist_checkpoint.uri, folder)
    for path in folder.glob("weights.*"):
        path.unlink()
    line_checkpoint(folder / "weights")
    with pytest.raises(
        CheckpointCorrupt, match=r"expected tensors with digest .* as in the checkpoint's record"
    ):
        export(folder, tmp_path / "out", model="mnist")


def test_export_bare_copy_of_a_recorded_checkpoint_serves_the_same(
    mnist_export: ExportedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDRAW_MODELS")
    bare = tmp_path / "bare"
    known = mnist_export.checkpoint
    shutil.copytree(known.uri, bare, ignore=shutil.ignore_patterns("record.json"))
    exported = export(bare, tmp_path / "out", model="mnist")
    found = exported.checkpoint
    assert (found.step, found.digest, found.averages) == (known.step, known.digest, True)
    assert found.uri == str(bare / "weights")
    variables = [digest_tree(Path(uri) / "variables")[1] for uri in (exported.uri, mnist_export.uri)]
    assert variables[0] == variables[1]
