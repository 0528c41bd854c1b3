"""`legacy_keras = True`: `tf.compat.v1.layers` and `rnn_cell`, through every stage's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from redraw.definition.registry import find_model, load_definition
from redraw.errors import InvalidDefinition
from tests.paths import IMPORT_PATH, TESTS

DEFINITION = '''
"""Layers of TF1."""
import numpy as np, tensorflow as tf
from redraw.definition import *
from sample_models.line_module import LineDefinition
v1 = tf.compat.v1

class Old(GraphFunctionDefinition, LineDefinition):
    signatures = {"serving_default": Signature(
        inputs={"x": TensorSpec("float32", (None, 4, 3))}, outputs={"y": TensorSpec("float32", (None, 1))})}
    training = TrainingPlan(steps=4, evaluate_every=2, average_decay=0.9)
    thresholds = {}
    LEGACY
    def training_data(self):
        x = np.linspace(-1, 1, 96, dtype=np.float32).reshape(8, 4, 3)
        return tf.data.Dataset.from_tensors((x, x[:, 0, :1])).repeat()
    def golden_examples(self):
        x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 4, 3)
        return {"serving_default": GoldenExamples(inputs={"x": x})}
    def graph(self, mode, features):
        training = mode is Mode.TRAIN
        outputs, _ = v1.nn.dynamic_rnn(v1.nn.rnn_cell.BasicLSTMCell(5), features, dtype=tf.float32)
        hidden = v1.layers.batch_normalization(outputs[:, -1], training=training, name="bn")
        hidden = v1.layers.dropout(v1.layers.dense(hidden, 3, tf.nn.relu), training=training)
        return v1.layers.dense(hidden, 1)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "old_models"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "old.py").write_text(DEFINITION.replace("LEGACY", "legacy_keras = True"))
    (folder / "new.py").write_text(DEFINITION.replace("LEGACY", ""))
    return folder


def redraw(package: Path, *arguments: str) -> tuple[int, Any, str]:
    """Run a command: its status, its record and its last line."""
    path = os.pathsep.join([IMPORT_PATH, os.fspath(TESTS), os.fspath(package.parent)])
    environment = os.environ | {"PYTHONPATH": path, "REDRAW_MODELS": package.name}
    environment.pop("TF_USE_LEGACY_KERAS", None)
    done = subprocess.run(
        [sys.executable, "-m", "redraw", *arguments], capture_output=True, env=environment, timeout=300
    )
    record = json.loads(done.stdout) if done.stdout else None
    return done.returncode, record, done.stderr.decode().strip().splitlines()[-1]


def test_legacy_keras_definition_trains_exports_and_validates(package: Path, tmp_path: Path) -> None:
    status, _, line = redraw(package, "train", "--model", "old", "--out", str(tmp_path / "run"))
    assert status == 0, line
    checkpoint = str(tmp_path / "run" / "checkpoints" / "ckpt-4")
    out = str(tmp_path / "model")
    status, exported, line = redraw(
        package, "export", "--model", "old", "--checkpoint", checkpoint, "--out", out
    )
    assert status == 0, line
    assert exported["ledger"]["served"] == 10
    report = str(tmp_path / "report.json")
    status, _, line = redraw(package, "validate", "--model", "old", "--saved-model", out, "--report", report)
    assert status == 0, line
    answer = tf.saved_model.load(out).signatures["serving_default"](x=tf.zeros([3, 4, 3]))
    assert np.isfinite(answer["y"]).all()


def test_legacy_keras_missing_is_named_by_the_error(package: Path, tmp_path: Path) -> None:
    status, record, line = redraw(package, "train", "--model", "new", "--out", str(tmp_path / "run"))
    assert (status, record) == (1, None)
    assert "`BasicLSTMCell` is not available with Keras 3. Set legacy_keras = True" in line


def test_load_definition_with_legacy_keras_where_keras_3_runs_is_refused(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    assert find_model("old").legacy_keras
    assert not find_model("new").legacy_keras
    with pytest.raises(
        InvalidDefinition,
        match="expected TF_USE_LEGACY_KERAS=1 in the environment before TensorFlow is imported",
    ):
        load_definition("old")


def test_find_model_with_a_computed_legacy_keras_is_refused(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "odd.py").write_text(DEFINITION.replace("LEGACY", "legacy_keras = bool(1)"))
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("REDRAW_MODELS", package.name)
    with pytest.raises(InvalidDefinition, match="legacy_keras: expected the literal True or False"):
        find_model("odd")
