"""Checkpoints that TensorFlow wrote, and TensorFlow's own way of reading one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter

SaveTensors = Callable[..., Path]
RestoreTensor = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def tf() -> Any:
    """TensorFlow: imported by the tests that compare with it, for its import takes seconds."""
    import tensorflow

    return tensorflow


@pytest.fixture(scope="session")
def save_tensors(tf: Any) -> SaveTensors:
    """TensorFlow's SaveV2: a prefix, and tensors as arrays or as (slice specification, array)."""

    def save(prefix: Path, *tensors: tuple[Any, ...]) -> Path:
        names = [tensor[0] for tensor in tensors]
        specs = [tensor[1] if len(tensor) == 3 else "" for tensor in tensors]
        values = [tf.constant(tensor[-1]) for tensor in tensors]
        prefix.parent.mkdir(parents=True, exist_ok=True)
        tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=specs, tensors=values)
        return prefix

    return save


@pytest.fixture(scope="session")
def restore_tensor(tf: Any) -> RestoreTensor:
    """TensorFlow's RestoreV2: a prefix, a key, a dtype's name and a slice specification."""

    def restore(prefix: Path, key: str | bytes, dtype: str, spec: str = "") -> np.ndarray:
        (tensor,) = tf.raw_ops.RestoreV2(
            prefix=str(prefix),
            tensor_names=[key],
            shape_and_slices=[spec],
            dtypes=[tf.dtypes.as_dtype(dtype)],
        )
        value = tensor.numpy()
        # NumPy would cut the zero bytes off the end of a scalar string.
        return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)

    return restore


@pytest.fixture(scope="session")
def trained(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """A checkpoint as the trainer saves it: step, a compiled Keras model, its optimizer, an average.

    Its prefix is under `prefix`, the two networks are under `model` and `average`.
    """
    import keras

    def build() -> Any:
        keras.backend.clear_session(free_memory=False)
        return keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3, name="hidden"),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dropout(0.5, name="drop"),
                keras.layers.Dense(2, name="answer"),
            ]
        )

    model, average = build(), build()
    optimizer = keras.optimizers.Adam()
    model.compile(optimizer, "mse")
    model.train_on_batch(np.ones((4, 4), np.float32), np.ones((4, 2), np.float32))
    saved = tf.train.Checkpoint(
        step=tf.Variable(7, dtype=tf.int64),
        model=model,
        optimizer=optimizer,
        average=average,
        noise=tf.random.Generator.from_seed(3),
    )
    prefix = Path(saved.write(str(tmp_path_factory.mktemp("trained") / "ckpt-5")))
    return {"prefix": prefix, "model": model, "average": average}


@pytest.fixture
def bundle(tmp_path: Path) -> TensorBundle:
    """A checkpoint `ckpt-3` in three files, each with a kernel, the last with strings too."""
    with BundleWriter(tmp_path / "ckpt-3", 4_100) as writer:
        for number in range(3):
            writer.add_array(f"layer_{number}/kernel", np.arange(1000, dtype=np.float32) + number)
        writer.add_array("words", np.array([b"ab", b"cde"], object))
    return TensorBundle(tmp_path / "ckpt-3")
