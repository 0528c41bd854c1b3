"""A Keras file, loaded by Keras itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.checkpoint.formats.configuration import read_configuration
from redraw.checkpoint.formats.foreign import find_files, find_foreign
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.definition import ConfiguredDefinition
from redraw.errors import one_line
from redraw.validate.outcome import CannotRun


class KerasFile:
    """The original that a definition with a configuration is compared with.

    Args:
        definition: The definition; its signatures give the order of the model's inputs and outputs.
        path: The `.keras` or full `.h5` file.

    Raises:
        CannotRun: The file has no configuration, needs code that is not Keras' own, or Keras cannot load it.
        CheckpointCorrupt: The file is damaged.
    """

    def __init__(self, definition: ConfiguredDefinition, path: Path) -> None:
        self._definition = definition
        _demand_own(path)
        try:
            self._model = _load(path, keras_2=definition.stored["keras_2"])
        except Exception as err:  # Keras raises many kinds of errors for a file that it cannot load
            raise CannotRun(
                f"Keras cannot load {path.name} without custom code: {type(err).__name__}:"
                f" {one_line(err, 200)}",
                "Name the file that holds the whole model, or add --reference URI.",
            ) from err

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers."""
        spec = self._definition.signatures[signature]
        tensors = [tf.convert_to_tensor(inputs[name]) for name in spec.inputs]
        answers = self._model(tensors if len(tensors) > 1 else tensors[0], training=False)
        return {
            name: np.asarray(value)
            for name, value in zip(spec.outputs, tf.nest.flatten(answers), strict=True)
        }


def _demand_own(path: Path) -> None:
    """Demand a model of Keras' own layers: other layers run their own code, or read files."""
    configuration = read_configuration(open_checkpoint(path))
    if configuration is None:
        raise CannotRun(
            f"{path.name} has only weights and no configuration, so Keras cannot load the model",
            "Name the file that holds the whole model as the checkpoint, or add --reference URI.",
        )
    foreign = [
        *find_foreign(configuration.model, keras_2=configuration.keras_2),
        *find_files(configuration.model),
    ]
    if foreign:
        raise CannotRun(
            f"{path.name} is not loaded, because it needs custom code: {', '.join(map(repr, foreign[:5]))}",
            "Add --reference URI with a reference that can be loaded, or waive the check.",
        )


def _load(path: Path, *, keras_2: bool) -> Any:
    if keras_2:
        import tf_keras

        return tf_keras.models.load_model(path, compile=False)
    import keras

    return keras.saving.load_model(path, compile=False, safe_mode=True)
