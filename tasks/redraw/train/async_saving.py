"""Make TensorFlow's asynchronous checkpoints work with Keras 3 variables."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["enable_async_saving"]


def enable_async_saving() -> None:
    """Replace the hook that copies a Keras variable for an asynchronous save.

    Keras 3.15 makes a new `tf.Variable` each time it is called (keras-team/keras#18749
    brought the hook); TensorFlow calls it inside a `tf.function`, where the second save
    then fails with "tf.function only supports singleton tf.Variables". The copy that
    TensorFlow has already made of the variable's value serves as well.
    """
    keras.Variable._copy_trackable_to_cpu = _copy_trackable_to_cpu


def _copy_trackable_to_cpu(variable: Any, object_map: dict[Any, Any]) -> None:
    variable.value._copy_trackable_to_cpu(object_map)
    object_map[variable] = object_map[variable.value]
