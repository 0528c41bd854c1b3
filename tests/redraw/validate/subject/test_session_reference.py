import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.select import select_checkpoint
from redraw.definition import GraphFunctionDefinition
from redraw.definition.registry import load_definition
from redraw.errors import CheckpointMismatch, ValidationFailed
from redraw.records import Checkpoint, ExportedModel, TrainingRun
from redraw.requests import CheckpointRequest, TrainRequest, ValidateRequest
from redraw.storage.files import digest_tree
from redraw.train.train import train_model
from redraw.validate.subject.session_reference import SessionReference
from redraw.validate.validator import validate_model
from tests.paths import TESTS

Export = Callable[..., ExportedModel]


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own definitions, also for the processes that validation starts."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A finished run of `word_graph`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        patch.setenv("REDRAW_MODELS", "sample_models")
        return train_model(
            TrainRequest(model="word_graph", out=str(tmp_path_factory.mktemp("words") / "run"))
        )


@pytest.fixture
def checkpoint(run: TrainingRun, tmp_path: Path) -> Checkpoint:
    """Its last checkpoint."""
    catalogue = str(tmp_path / "cat")
    return select_checkpoint(
        CheckpointRequest(model="word_graph", source=run, catalogue=catalogue, latest=True)
    )


def validate(exported: ExportedModel, folder: Path, checkpoint: Checkpoint | None = None) -> None:
    report = str(folder / "report.json")
    request = ValidateRequest(model="word_graph", saved_model=exported, report=report, checkpoint=checkpoint)
    assert validate_model(request).passed


@pytest.mark.parametrize("weights", ["raw", "average"])
def test_validate_graph_function_passes_with_either_weights(
    weights: str, checkpoint: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    validate(export_graph_function(checkpoint, tmp_path / "model", weights), tmp_path)


def test_validate_graph_function_with_other_weights_fails_the_golden_examples(
    checkpoint: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    raw = export_graph_function(checkpoint, tmp_path / "model", "raw")
    with pytest.raises(ValidationFailed, match=r"\d+ of \d+ checks .* golden-examples: .* differs by up to"):
        validate(replace(raw, weights="average"), tmp_path)


def test_validate_graph_function_with_a_weight_changed_fails_the_golden_examples(
    checkpoint: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    exported = export_graph_function(checkpoint, tmp_path / "model")
    prefix = Path(exported.uri) / "variables" / "variables"
    bundle = TensorBundle(prefix)
    values = {key: bundle.read_array(key) for key in bundle.entries}
    values["dense/bias"] = values["dense/bias"] + np.float32(0.01)
    shutil.rmtree(prefix.parent)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[*values],
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(value) for value in values.values()],
    )
    sealed = replace(exported, digest=digest_tree(Path(exported.uri))[0])
    with pytest.raises(
        ValidationFailed, match=r"\d+ of \d+ checks .* 'serving_default', output 'value': differs"
    ):
        validate(sealed, tmp_path)


def test_validate_graph_function_against_another_network_names_the_tensor(
    checkpoint: Checkpoint, export_graph_function: Export, tmp_path: Path
) -> None:
    exported = export_graph_function(checkpoint, tmp_path / "model")
    other = tmp_path / "other"
    shutil.copytree(checkpoint.uri, other)
    source = TensorBundle(other / checkpoint.prefix)
    values = {key: source.read_array(key) for key in source.entries}
    values["dense/kernel/ExponentialMovingAverage"] = np.zeros([5, 1], np.float32)
    for path in (source.index_path, *source.shard_paths):
        path.unlink()
    tf.raw_ops.SaveV2(
        prefix=str(other / checkpoint.prefix),
        tensor_names=[*values],
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(value) for value in values.values()],
    )
    with pytest.raises(ValidationFailed, match=r"expected float32 \[4, 1\], got float32 \[5, 1\]"):
        validate(exported, tmp_path, replace(checkpoint, uri=str(other)))


def test_restore_averages_of_a_checkpoint_without_any_are_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    definition = load_definition("word_graph")
    source = TensorBundle(Path(checkpoint.uri) / checkpoint.prefix)
    names = ["dense/kernel", "dense/bias", "embedding", "seen/count"]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "bare"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(source.read_array(name)) for name in names],
    )
    assert isinstance(definition, GraphFunctionDefinition)
    values = definition.golden_examples()["nearest"].inputs
    raw, average = SessionReference(definition, "raw"), SessionReference(definition, "average")
    raw.restore(tmp_path / "bare")
    assert raw.answer("nearest", values)["word"].tolist() == [b"zero", b"three", b"many"]
    with pytest.raises(CheckpointMismatch, match="expected average weights"):
        average.restore(tmp_path / "bare")
    raw.close()
    average.close()
