import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.select import last_whole_checkpoint, select_checkpoint
from redraw.errors import (
    CheckpointMismatch,
    CheckpointNotFound,
    DiskFull,
    InvalidDefinition,
    InvalidName,
    OutputExists,
)
from redraw.records import Checkpoint, TrainingRun
from redraw.requests import CheckpointRequest, TrainRequest
from redraw.runs.folder import RunFolder
from redraw.train.average import update_average
from redraw.train.train import train_model
from tests.paths import TESTS
from tests.redraw.train.conftest import StartTraining


@pytest.fixture
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own definitions next to the ones that ship."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models,redraw.models")


def test_train_mnist_recognises_96_percent_of_held_out_digits(trained_mnist: TrainingRun) -> None:
    assert trained_mnist.step == 1000
    assert trained_mnist.metrics["average_accuracy"] >= 0.96


def test_train_writes_record_metrics_events_and_checkpoints(trained_mnist: TrainingRun) -> None:
    folder = RunFolder(Path(trained_mnist.uri))
    assert folder.read_run() == trained_mnist
    assert sorted(folder.evaluations()) == [200, 400, 600, 800, 1000]
    assert folder.last_metrics() == trained_mnist.metrics
    (events,) = folder.events.iterdir()
    steps = {event.step for event in tf.compat.v1.train.summary_iterator(str(events)) if event.summary.value}
    assert steps == {200, 400, 600, 800, 1000}
    for step in (200, 1000):
        TensorBundle(folder.checkpoints / f"ckpt-{step}").verify()


def test_train_every_checkpoint_holds_its_own_values(trained_mnist: TrainingRun) -> None:
    """Saving goes on behind the training: each checkpoint must hold the values of its step."""
    folder = RunFolder(Path(trained_mnist.uri))
    steps = [
        int(TensorBundle(folder.checkpoints / f"ckpt-{step}").read_array("step/.ATTRIBUTES/VARIABLE_VALUE"))
        for step in (200, 400, 1000)
    ]
    kernels = [
        TensorBundle(folder.checkpoints / f"ckpt-{step}").read_array(
            "average/_operations/1/_kernel/.ATTRIBUTES/VARIABLE_VALUE"
        )
        for step in (200, 400, 1000)
    ]
    assert steps == [200, 400, 1000]
    assert not np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[1], kernels[2])


def test_train_passes_over_a_torn_checkpoint(trained_mnist: TrainingRun, tmp_path: Path) -> None:
    shutil.copytree(Path(trained_mnist.uri), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    (data,) = folder.checkpoints.glob("ckpt-1000.data-*")
    data.write_bytes(data.read_bytes()[:-100])
    again = train_model(TrainRequest(model="mnist", out=str(folder.path)))
    assert again.step == 1000
    assert last_whole_checkpoint(folder) == folder.checkpoints / "ckpt-1000"


def test_train_finished_run_again_changes_nothing(trained_mnist: TrainingRun) -> None:
    again = train_model(TrainRequest(model="mnist", out=trained_mnist.uri))
    assert again == trained_mnist


def test_train_killed_and_started_again_ends_at_the_same_step(
    until: Callable[..., None], tmp_path: Path, start_training: StartTraining
) -> None:
    out = tmp_path / "run"
    folder = RunFolder(out)
    flags = ("--model", "mnist", "--out", str(out), "--max-steps", "400")
    first = start_training(*flags)
    until((folder.checkpoints / "ckpt-200.index").exists, "the checkpoint of step 200", 120.0)
    first.kill()
    assert first.wait().status == -signal.SIGKILL
    saved = max(int(p.stem.removeprefix("ckpt-")) for p in folder.checkpoints.glob("ckpt-*.index"))
    assert 200 <= saved < 400
    second = start_training(*flags).wait(240.0)
    assert second.status == 0, second.stderr
    assert f"resuming from {folder.checkpoints}/ckpt-{saved}" in second.stderr
    assert f"steps {saved} to 400" in second.stderr
    assert TrainingRun.from_json(json.loads(second.stdout)).step == 400
    assert max(folder.evaluations()) == 400


@pytest.mark.usefixtures("sample_models")
@pytest.mark.parametrize("model", ["line_module", "line_graph"])
def test_train_other_kinds_of_network_learn(model: str, tmp_path: Path) -> None:
    run = train_model(TrainRequest(model=model, out=str(tmp_path / "run"), max_steps=200))
    evaluations = RunFolder(tmp_path / "run").evaluations()
    assert run.step == 200
    assert evaluations[200].metrics["loss"] < evaluations[min(evaluations)].metrics["loss"]


def test_train_warm_start_takes_the_weights(mnist_checkpoint: Checkpoint, tmp_path: Path) -> None:
    request = TrainRequest(
        model="mnist", out=str(tmp_path / "run"), max_steps=1, warm_start=mnist_checkpoint.uri
    )
    run = train_model(request)
    assert run.warm_start == mnist_checkpoint.uri
    assert run.step == 1
    assert run.metrics["accuracy"] > 0.9


@pytest.mark.usefixtures("sample_models")
def test_train_warm_start_of_another_model_is_refused(mnist_checkpoint: Checkpoint, tmp_path: Path) -> None:
    request = TrainRequest(model="line_module", out=str(tmp_path / "run"), warm_start=mnist_checkpoint.uri)
    with pytest.raises(
        CheckpointMismatch, match="expected a checkpoint of 'line_module', got one of 'mnist'"
    ):
        train_model(request)


@pytest.mark.usefixtures("sample_models")
def test_train_folder_of_another_model_is_refused(trained_mnist: TrainingRun) -> None:
    with pytest.raises(CheckpointMismatch, match="expected a run of model 'line_module', got one of 'mnist'"):
        train_model(TrainRequest(model="line_module", out=trained_mnist.uri))


@pytest.mark.parametrize("name", ["run[1]", "run*", "what?", "a\\\\b"])
def test_train_into_what_tensorflow_takes_for_a_pattern_is_refused_at_once(name: str, tmp_path: Path) -> None:
    """It would find none of its checkpoints again."""
    with pytest.raises(InvalidName, match="which TensorFlow reads as a file pattern"):
        train_model(TrainRequest(model="mnist", out=str(tmp_path / name)))
    assert list(tmp_path.iterdir()) == []


def test_train_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExists, match="expected an empty folder or a training run"):
        train_model(TrainRequest(model="mnist", out=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("sample_models")
@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        ("build", "raise RuntimeError('no graph today')", "fails with RuntimeError: no graph today"),
        ("build", "return 3", "expected a Keras model or a tf.Module, got int"),
        ("build", "import sys; sys.exit(3)", "fails with SystemExit: 3"),
        ("evaluation_data", "raise OSError('none')", "evaluation_data, .* fails with OSError: none"),
        ("optimizer", "return 4", "Failing.optimizer fails with AttributeError"),
        ("metrics", "raise KeyError('none')", "Failing.metrics fails with KeyError: 'none'"),
        (
            "loss",
            "raise RuntimeError('no loss')",
            "failing, after step 0, fails with RuntimeError: .*no loss",
        ),
        ("loss", "return outputs[:2]", "after step 0, fails with"),
        ("training_data", "return super().training_data().take(2)", "expected an endless dataset, got 2"),
        ("training_data", "raise OSError('no data')", "training_data fails with OSError: no data"),
        (
            "training_data",
            "pass",
            r"training_data: expected a tf.data.Dataset of \(features, labels\), got No",
        ),
        (
            "evaluation_data",
            "return [({}, 1)]",
            "evaluation_data: expected a tf.data.Dataset of .*, got list",
        ),
        (
            "evaluation_data",
            "return super().evaluation_data().map(lambda x, y: {'x': x})",
            "evaluation_data: expected a tf.data.Dataset of .*, got a dataset of {'x'",
        ),
    ],
)
def test_train_definition_that_fails_is_refused_by_one_line(
    method: str, body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / f"package_{abs(hash(body))}"
    package.mkdir()
    (package / "__init__.py").touch()
    name = "failing"
    arguments = {"build": "self, mode", "loss": "self, outputs, labels"}.get(method, "self")
    (package / f"{name}.py").write_text(
        "from sample_models.line_module import LineDefinition\n"
        f"class Failing(LineDefinition):\n    def {method}({arguments}):\n        {body}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    with pytest.raises(InvalidDefinition, match=message):
        train_model(TrainRequest(model=name, out=str(tmp_path / "run")))


@pytest.mark.usefixtures("sample_models")
@pytest.mark.parametrize("value", ["inf", "nan", "-inf"])
def test_train_metric_that_is_no_number_is_null_and_named(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    package = tmp_path / f"odd_metric_{value.strip('-')}_{value.count('-')}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "odd.py").write_text(
        "import keras\n"
        "from sample_models.line_module import LineDefinition\n"
        "class Perplexity(keras.metrics.Mean):\n"
        f"    def result(self):\n        return keras.ops.convert_to_tensor(float('{value}'), 'float32')\n"
        "class Odd(LineDefinition):\n    def metrics(self):\n        return {'perplexity': Perplexity()}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    caplog.set_level("WARNING")
    run = train_model(TrainRequest(model="odd", out=str(tmp_path / "run"), max_steps=4))
    assert run.metrics["perplexity"] is None
    assert isinstance(run.metrics["loss"], float)
    assert "step 4: expected finite metrics, got perplexity: recorded as null" in caplog.text
    assert _strict((tmp_path / "run" / "run.json").read_text())["metrics"]["perplexity"] is None
    assert _strict((tmp_path / "run" / "metrics.jsonl").read_text())["metrics"]["perplexity"] is None
    request = {"model": "odd", "source": run, "catalogue": str(tmp_path / "c")}
    assert select_checkpoint(CheckpointRequest(**request, latest=True)).metrics == run.metrics
    with pytest.raises(CheckpointNotFound, match="expected checkpoints with metric 'perplexity'"):
        select_checkpoint(CheckpointRequest(**request, best="perplexity"))


def _strict(text: str) -> Any:
    """JSON as every other reader takes it: without Python's names for what is no number."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_train_full_disk_is_one_clear_error(tiny_disk: Path) -> None:
    with pytest.raises(DiskFull, match="Free some space"):
        train_model(TrainRequest(model="mnist", out=str(tiny_disk / "run"), max_steps=2))


def test_update_average_follows_the_documented_formula() -> None:
    average, weight = tf.Variable([1.0]), tf.Variable([3.0])
    count, counted = tf.Variable([1]), tf.Variable([5])
    averages, weights = {"w": average, "n": count}, {"w": weight, "n": counted}
    update_average(averages, weights, 0.9, tf.Variable(0, dtype=tf.int64))
    np.testing.assert_allclose(average.numpy(), [0.1 * 1 + 0.9 * 3], rtol=1e-6)
    assert count.numpy() == [5]
    update_average(averages, weights, 0.9, tf.Variable(10**6, dtype=tf.int64))
    np.testing.assert_allclose(average.numpy(), [0.9 * 2.8 + 0.1 * 3], rtol=1e-6)
