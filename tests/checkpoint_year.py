"""A year of one model's checkpoints, as programs of several ages left them: one a month, trained a little."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

__all__ = ["MODEL", "SavedCheckpoint", "Year", "save_year"]

# Of `sample_models`.
MODEL = "dense_line"
_X = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
_Y = 3 * _X - 1


@dataclass(frozen=True)
class SavedCheckpoint:
    """One checkpoint: where it lies, how, and the line that it holds."""

    uri: Path
    layout: str
    step: int
    trained_at: str
    slope: float
    offset: float


@dataclass(frozen=True)
class Year:
    """A folder, and the twelve checkpoints in and below it, January's first; their steps are 10 to 120."""

    folder: Path
    checkpoints: tuple[SavedCheckpoint, ...]


def save_year(folder: Path) -> Year:
    """Train and save: V1, an Estimator's folder, V2, `tf.train.Checkpoint` and Keras' files."""
    found = [*_save_graph(folder), *_save_keras(folder)]
    return Year(folder, tuple(sorted(found, key=lambda checkpoint: checkpoint.trained_at)))


@contextmanager
def _clock(month: int) -> Iterator[str]:
    """Let it be noon of a month's fifth, for who asks Python; gives the time as records have it."""
    moment = datetime(2024, month, 5, 12, tzinfo=UTC)
    with mock.patch("time.time", return_value=moment.timestamp()):
        yield f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _age(folder: Path, begin: str, trained_at: str) -> None:
    seconds = datetime.fromisoformat(trained_at).timestamp()
    for path in folder.glob(f"{begin}*"):
        os.utime(path, (seconds, seconds))


def _save_graph(folder: Path) -> Iterator[SavedCheckpoint]:
    """TF1: one graph, trained by gradient descent, saved by five Savers."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        step = v1.get_variable("global_step", initializer=np.int64(0), trainable=False, use_resource=False)
        slope = v1.get_variable("line/kernel", [1, 1], use_resource=False)
        offset = v1.get_variable("line/bias", [1], use_resource=False)
        loss = tf.reduce_mean(tf.square(tf.constant(_X) @ slope + offset - tf.constant(_Y)))
        train = v1.train.GradientDescentOptimizer(0.05).minimize(loss, step)
        savers = {
            "v1": v1.train.Saver(write_version=v1.train.SaverDef.V1),
            "v1-sharded": v1.train.Saver(write_version=v1.train.SaverDef.V1, sharded=True),
            "estimator": v1.train.Saver(),
            "v2": v1.train.Saver(),
        }
        session.run(v1.global_variables_initializer())
        for layout in ("estimator", "v1", "v1-sharded", "v2"):
            (folder / layout).mkdir()
        (folder / "estimator" / "eval").mkdir()
        events = v1.summary.FileWriter(str(folder / "estimator"))
        for month, layout in enumerate(["v1", "v1-sharded", *["estimator"] * 3, "v2"], start=1):
            with _clock(month) as trained_at:
                for _ in range(10):
                    session.run(train)
                name = "model.ckpt"
                prefix = savers[layout].save(session, str(folder / layout / name), month * 10)
                if layout == "estimator":
                    # As the hooks of an Estimator did: the files were copied since, this tells.
                    log = v1.SessionLog(status=v1.SessionLog.CHECKPOINT, checkpoint_path=prefix)
                    events.add_session_log(log, month * 10)
                    events.flush()
                else:
                    _age(folder / layout, f"{name}-{month * 10}", trained_at)
            where = folder / layout / f"{name}-{month * 10}"
            values = session.run([slope, offset])
            yield SavedCheckpoint(where, layout, month * 10, trained_at, *(float(v.item()) for v in values))
        events.close()


def _save_keras(folder: Path) -> Iterator[SavedCheckpoint]:
    """TF2: one Keras model, saved by a CheckpointManager, then into Keras' own files."""
    import keras
    import tensorflow as tf

    line = keras.layers.Dense(1, name="line")
    network = keras.Sequential([keras.Input((1,)), line], name="net")
    network.compile(keras.optimizers.SGD(0.05), "mse")
    checkpoint = tf.train.Checkpoint(model=network, optimizer=network.optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "managed"), max_to_keep=3)
    (folder / "keras").mkdir()
    network.train_on_batch(_X, _Y)
    for month in range(7, 13):
        with _clock(month) as trained_at:
            network.train_on_batch(_X, _Y)
            network.optimizer.iterations.assign(month * 10)
            where = _save_one(folder, month, network, manager)
            if month > 9:
                _age(where.parent, where.name, trained_at)
        values = [float(np.asarray(value).item()) for value in line.get_weights()]
        layout = "managed" if month < 10 else where.name.partition(".")[2]
        yield SavedCheckpoint(where, layout, month * 10, trained_at, *values)


def _save_one(folder: Path, month: int, network: Any, manager: Any) -> Path:
    names = {10: "net.keras", 11: "net.weights.h5", 12: "net-120.h5"}
    if month not in names:
        return Path(manager.save(month * 10))
    path = folder / "keras" / names[month]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' own, of NumPy 2 and of the old format
        (network.save_weights if month == 11 else network.save)(path)
    return path
