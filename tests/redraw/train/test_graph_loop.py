import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.select import select_checkpoint
from redraw.errors import CheckpointMismatch, DiskFull, InvalidDefinition
from redraw.records import TrainingRun
from redraw.requests import CheckpointRequest, TrainRequest
from redraw.runs.folder import RunFolder
from redraw.train.train import train_model
from tests.paths import TESTS
from tests.redraw.train.conftest import StartTraining


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own definitions next to the ones that ship."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models,redraw.models")


@pytest.fixture(scope="module")
def trained_words(tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    """A finished run of `word_graph`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TESTS))
        patch.setenv("REDRAW_MODELS", "sample_models")
        return train_model(
            TrainRequest(model="word_graph", out=str(tmp_path_factory.mktemp("words") / "run"))
        )


def bundle(run: Path, step: int) -> TensorBundle:
    return TensorBundle(run / "checkpoints" / f"ckpt-{step}")


def write_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> str:
    package = tmp_path / "definitions_of_test"
    package.mkdir()
    (package / "__init__.py").touch()
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (package / "changed.py").write_text(
        "import tensorflow as tf\nfrom redraw.definition import *\n"
        f"from sample_models.word_graph import WordGraphDefinition\n"
        f"class Changed(WordGraphDefinition):\n{lines}\n"
    )
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    return "changed"


def test_train_graph_function_learns_and_writes_the_same_folder_as_other_kinds(
    trained_words: TrainingRun,
) -> None:
    folder = RunFolder(Path(trained_words.uri))
    assert folder.read_run() == trained_words
    assert trained_words.step == 60
    evaluations = folder.evaluations()
    assert sorted(evaluations) == [20, 40, 60]
    assert evaluations[60].metrics["loss"] < evaluations[20].metrics["loss"]
    assert evaluations[60].metrics["average_loss"] < 0.5
    (events,) = folder.events.iterdir()
    steps = {event.step for event in tf.compat.v1.train.summary_iterator(str(events)) if event.summary.value}
    assert steps == {20, 40, 60}


def test_train_graph_function_saves_names_as_a_saver_does(trained_words: TrainingRun) -> None:
    saved = bundle(Path(trained_words.uri), 60)
    saved.verify()
    for name in ("embedding", "dense/kernel", "dense/bias", "auxiliary/dense/kernel"):
        slots = {f"{name}/Adam", f"{name}/Adam_1", f"{name}/ExponentialMovingAverage"}
        assert slots | {name} <= set(saved.entries)
    assert len(saved.entries["embedding"].slices) == 2
    assert int(saved.read_array("global_step")) == 60
    assert int(saved.read_array("seen/count")) == 5 * 60
    assert not (Path(trained_words.uri) / "checkpoints" / "ckpt-20.index").exists()
    state = (Path(trained_words.uri) / "checkpoints" / "checkpoint").read_text()
    assert 'model_checkpoint_path: "ckpt-60"' in state


def test_train_graph_function_measures_the_averages_that_it_saves(trained_words: TrainingRun) -> None:
    """The weights' and the averages' losses, worked out again by hand from the checkpoint."""
    saved = bundle(Path(trained_words.uri), 60)
    for suffix, metric in (("", "loss"), ("/ExponentialMovingAverage", "average_loss")):
        embedding, kernel, bias = (
            saved.read_array(f"{name}{suffix}") for name in ("embedding", "dense/kernel", "dense/bias")
        )
        values = embedding[:5] @ kernel + bias
        loss = np.mean(np.square(values - np.arange(5.0)[:, None]))
        assert trained_words.metrics[metric] == pytest.approx(loss, rel=1e-4)
    assert trained_words.metrics["loss"] != trained_words.metrics["average_loss"]


def test_train_graph_function_checkpoint_is_selected_with_its_averages(
    trained_words: TrainingRun, tmp_path: Path
) -> None:
    request = CheckpointRequest(
        model="word_graph", source=trained_words, catalogue=str(tmp_path / "cat"), best="average_loss"
    )
    checkpoint = select_checkpoint(request)
    assert checkpoint.averages
    assert checkpoint.step in (40, 60)


def test_train_graph_function_again_carries_on_exactly_where_it_stopped(
    trained_words: TrainingRun, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained_words.uri, out)
    before = bundle(out, 60)
    again = train_model(TrainRequest(model="word_graph", out=str(out), max_steps=61))
    after = bundle(out, 61)
    assert again.step == 61
    assert sorted(RunFolder(out).evaluations()) == [20, 40, 60, 61]
    assert int(after.read_array("seen/count")) == 5 * 61
    power = before.read_array("beta1_power") * np.float32(0.9)
    assert after.read_array("beta1_power") == pytest.approx(power)
    average, weight = before.read_array("dense/bias/ExponentialMovingAverage"), after.read_array("dense/bias")
    decay = min(0.9, (1 + 61) / (10 + 61))
    expected = decay * average + (1 - decay) * weight
    np.testing.assert_allclose(after.read_array("dense/bias/ExponentialMovingAverage"), expected, rtol=1e-5)
    # Two are kept, also across the interruption.
    assert sorted(p.stem for p in (out / "checkpoints").glob("*.index")) == ["ckpt-60", "ckpt-61"]


def test_train_graph_function_killed_and_started_again_ends_at_the_same_step(
    until: Callable[..., None], tmp_path: Path, start_training: StartTraining
) -> None:
    out = tmp_path / "run"
    folder = RunFolder(out)
    flags = ("--model", "digits_graph", "--out", str(out), "--max-steps", "300")
    first = start_training(*flags)
    until((folder.checkpoints / "ckpt-150.index").exists, "the checkpoint of step 150", 120.0)
    first.kill()
    assert first.wait().status == -signal.SIGKILL
    second = start_training(*flags).wait(240.0)
    assert second.status == 0, second.stderr
    assert f"resuming from {folder.checkpoints}/ckpt-" in second.stderr
    assert int(bundle(out, 300).read_array("global_step")) == 300
    assert max(folder.evaluations()) == 300


def test_train_graph_function_warm_start_takes_weights_and_nothing_else(
    trained_words: TrainingRun, tmp_path: Path
) -> None:
    start = f"{trained_words.uri}/checkpoints/ckpt-60"
    request = TrainRequest(model="word_graph", out=str(tmp_path / "run"), max_steps=1, warm_start=start)
    run = train_model(request)
    weights, first = TensorBundle(Path(start)), bundle(tmp_path / "run", 1)
    assert run.step == int(first.read_array("global_step")) == 1
    # Adam's first step moves each weight by its learning rate, and the average follows.
    difference = np.abs(first.read_array("dense/bias") - weights.read_array("dense/bias"))
    np.testing.assert_allclose(difference, 0.1, rtol=1e-3)
    assert first.read_array("beta1_power") == pytest.approx(0.81)
    decay, bias = 2 / 11, "dense/bias/ExponentialMovingAverage"
    expected = decay * weights.read_array("dense/bias") + (1 - decay) * first.read_array("dense/bias")
    np.testing.assert_allclose(first.read_array(bias), expected, rtol=1e-4)


@pytest.mark.parametrize("how", ["resume", "warm start"])
def test_train_graph_function_of_another_shape_is_refused_by_its_tensor(
    how: str, trained_words: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's Saver would put the tensor in, whatever its shape."""
    model = write_definition(
        tmp_path,
        monkeypatch,
        "def graph(self, mode, features):\n"
        "    kernel = tf.compat.v1.get_variable('dense/kernel', [7, 1])\n"
        "    return tf.ones([tf.size(features['word']), 7]) @ kernel",
    )
    out, start = tmp_path / "run", None
    if how == "resume":
        (out / "checkpoints").mkdir(parents=True)
        for path in (Path(trained_words.uri) / "checkpoints").iterdir():
            shutil.copy(path, out / "checkpoints")
        RunFolder(out).write_run(TrainingRun(model=model, uri=str(out), run="run", step=0))
    else:
        start = f"{trained_words.uri}/checkpoints/ckpt-60"
    with pytest.raises(
        CheckpointMismatch, match=r"'dense/kernel.*': expected float32 \[7, 1\], got float32 \[4, 1\]"
    ):
        train_model(TrainRequest(model=model, out=str(out), warm_start=start))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def graph(self, mode, features): raise RuntimeError('no graph today')",
            "drawn for training, fails with RuntimeError: no graph today",
        ),
        (
            "def graph(self, mode, features):\n"
            "    w = tf.compat.v1.get_variable(mode.value, [])\n"
            "    return w * tf.ones([tf.size(features['word']), 1])",
            "expected that evaluation uses the variables of training, got new variables",
        ),
        (
            "def graph(self, mode, features): return tf.ones([tf.size(features['word']), 1])",
            "drawn for training, fails with ValueError: No variables to optimize",
        ),
        ("def training_data(self): raise OSError('no data')", "training_data fails with OSError: no data"),
        ("def evaluation_data(self): raise OSError('none')", "evaluation_data fails with OSError: none"),
        (
            "def training_data(self): return super().training_data().take(2)",
            "expected an endless dataset, got 2",
        ),
    ],
)
def test_train_graph_function_that_fails_is_refused_by_one_line(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_definition(tmp_path, monkeypatch, body)
    with pytest.raises(InvalidDefinition, match=message):
        train_model(TrainRequest(model=model, out=str(tmp_path / "run")))


def test_train_graph_function_full_disk_is_one_clear_error(tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"x" * 900_000)
    with pytest.raises(DiskFull, match="Free some space"):
        train_model(TrainRequest(model="digits_graph", out=str(tiny_disk / "run"), max_steps=2))
