"""Keras 2 as TensorFlow's own Keras, for `tf.compat.v1.layers` and `rnn_cell`, which Keras 3 lacks.

Source:
    https://www.tensorflow.org/guide/keras (TF_USE_LEGACY_KERAS)
"""

from __future__ import annotations

import importlib
import os
import sys

from redraw.dependencies import naming_extras
from redraw.errors import InvalidDefinition

_VARIABLE = "TF_USE_LEGACY_KERAS"
_TRUE = ("1", "true", "True")


def use_legacy_keras() -> None:
    """Choose Keras 2 for this process, which has not imported TensorFlow yet."""
    os.environ[_VARIABLE] = "1"


def demand_legacy_keras(where: str) -> None:
    """Choose Keras 2, or refuse to load a definition if Keras 3 is in use.

    Raises:
        InvalidDefinition: TensorFlow was imported without it.
        MissingDependency: The package tf_keras is not installed.
    """
    if os.environ.get(_VARIABLE) not in _TRUE:
        if "tensorflow" in sys.modules:
            raise InvalidDefinition(
                f"{where}, legacy_keras: expected {_VARIABLE}=1 in the environment before TensorFlow is"
                f" imported, got none. Set {_VARIABLE}=1 before the process starts, or use the command"
                " redraw, which does."
            )
        use_legacy_keras()
    with naming_extras():
        importlib.import_module("tf_keras")
