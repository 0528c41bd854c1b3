"""Checkpoints of the catalogue, of every layout and age, exported by the definition of their time."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.catalogue.adopt import adopt_checkpoints
from redraw.checkpoint.catalogue.bare import describe_bare
from redraw.checkpoint.catalogue.listing import list_checkpoints
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import CheckpointCorrupt, CheckpointMismatch
from redraw.export.export import Exporter, export_model
from redraw.records import Checkpoint
from redraw.requests import AdoptRequest, ExportRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.uri import Uri
from redraw.validate.validator import validate_model
from tests.checkpoint_year import MODEL, Year
from tests.paths import TESTS

X = np.float32([[0.0], [1.0]])


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")


@pytest.fixture(scope="module", params=["copied", "in place"])
def adopted(
    request: pytest.FixtureRequest, year_of_checkpoints: Year, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A catalogue with the year's checkpoints."""
    catalogue = tmp_path_factory.mktemp("catalogue")
    source, in_place = str(year_of_checkpoints.folder), request.param == "in place"
    adopt_checkpoints(
        AdoptRequest(model=MODEL, source=source, catalogue=str(catalogue), recursive=True, in_place=in_place)
    )
    return catalogue


def folder_of(catalogue: Path, step: int) -> str:
    (folder,) = (catalogue / MODEL).glob(f"{step}-*")
    return str(folder)


def test_export_each_of_a_year_answers_as_its_weights(
    adopted: Path, year_of_checkpoints: Year, tmp_path: Path
) -> None:
    exporter, records = Exporter(), {c.step: c for c in list_checkpoints(Uri(adopted), MODEL)}
    for saved in year_of_checkpoints.checkpoints:
        out, given = tmp_path / str(saved.step), records[saved.step]
        # By its record as by its folder.
        named: Checkpoint | str = given if saved.step % 20 else folder_of(adopted, saved.step)
        exported = exporter.export(ExportRequest(model=MODEL, checkpoint=named, out=str(out)))
        assert exported.checkpoint == given
        answered = tf.saved_model.load(str(out)).signatures["serving_default"](x=tf.constant(X))["y"]
        expected = X * np.float32(saved.slope) + np.float32(saved.offset)
        np.testing.assert_allclose(answered.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("step", [10, 40, 100])
def test_validate_export_from_the_catalogue_compares_with_its_files(
    step: int, adopted: Path, tmp_path: Path
) -> None:
    folder = folder_of(adopted, step)
    exported = export_model(ExportRequest(model=MODEL, checkpoint=folder, out=str(tmp_path / "out")))
    for checkpoint in (None, folder):
        report = validate_model(
            ValidateRequest(
                model=MODEL, saved_model=exported, checkpoint=checkpoint, report=str(tmp_path / "r.json")
            )
        )
        assert {c.name: c.status for c in report.checks}["weights-source"] == "passed"


def test_train_with_a_warm_start_named_in_the_catalogue_takes_it(adopted: Path, tmp_path: Path) -> None:
    more: Any = {"catalogue": str(adopted), "max_steps": 1}
    run = train_model(TrainRequest(model=MODEL, out=str(tmp_path / "run"), warm_start="80", **more))
    assert run.warm_start is not None
    assert run.warm_start.endswith(("managed/ckpt-80", Path(folder_of(adopted, 80)).name))
    with pytest.raises(CheckpointMismatch, match="expected a checkpoint in TensorFlow's own format"):
        train_model(
            TrainRequest(model=MODEL, out=str(tmp_path / "no"), warm_start=folder_of(adopted, 100), **more)
        )


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("bare.keras", CheckpointMismatch, "TensorFlow's own format, got 'keras'"),
        ("packed.npz", CheckpointCorrupt, "no item named 'config.json'"),
        ("damaged.index", CheckpointCorrupt, "expected"),
    ],
)
def test_train_with_a_warm_start_that_it_cannot_read_is_refused(
    name: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if name == "bare.keras":
        with warnings.catch_warnings(action="ignore"):
            keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(path)
    elif name == "packed.npz":
        np.savez(path, weights=np.zeros(3))
    else:
        path.write_bytes(b"x" * 100)
        path.with_suffix(".data-00000-of-00001").touch()
    with pytest.raises(error, match=message):
        train_model(TrainRequest(model=MODEL, out=str(tmp_path / "run"), warm_start=str(path), max_steps=1))


def record_of(year: Year, step: int, trained_at: str) -> Checkpoint:
    """The record of one of the year's checkpoints, as if it were of another time."""
    (saved,) = (c for c in year.checkpoints if c.step == step)
    return replace(describe_bare(open_checkpoint(saved.uri), MODEL), trained_at=trained_at)


def test_export_draws_the_definition_of_the_checkpoints_time(
    year_of_checkpoints: Year, tmp_path: Path
) -> None:
    now = record_of(year_of_checkpoints, 60, "2024-01-01T00:00:00Z")
    exporter = Exporter()
    exporter.export(ExportRequest(model=MODEL, checkpoint=now, out=str(tmp_path / "now")))
    then = replace(now, trained_at="2023-12-31T23:59:59Z")
    reason = r"stroke/kernel.* The definition is sample_models.dense_line_2023 .applies_to: from"
    with pytest.raises(CheckpointMismatch, match=reason):
        exporter.export(ExportRequest(model=MODEL, checkpoint=then, out=str(tmp_path / "then")))


def test_validate_holds_an_export_to_the_definition_of_its_time(
    year_of_checkpoints: Year, tmp_path: Path
) -> None:
    with BundleWriter(tmp_path / "model.ckpt-5") as writer:
        writer.add_array("stroke/kernel", np.float32([[2.0]]))
        writer.add_array("stroke/bias", np.float32([1.0]))
    then = replace(
        describe_bare(open_checkpoint(tmp_path / "model.ckpt-5"), MODEL), trained_at="2023-05-05T00:00:00Z"
    )
    exported = export_model(ExportRequest(model=MODEL, checkpoint=then, out=str(tmp_path / "out")))
    assert exported.model == MODEL
    report = validate_model(
        ValidateRequest(model=MODEL, saved_model=exported, report=str(tmp_path / "report.json"))
    )
    assert {c.name: c.status for c in report.checks}["golden-examples"] == "passed"
