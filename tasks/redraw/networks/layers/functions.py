"""Compare functions of layers by their values, because names changed meaning between versions of Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.networks.layers.layer import Function

# Kinds of layers that are functions of their input.
ACTIVATIONS = frozenset({"Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"})
# The arguments at which functions are compared.
GRID = np.array(
    [
        [-8.0, -3.5, -2.75, -1.5, -0.5, -0.01, 0.0, 0.01, 0.5, 1.5, 2.75, 3.5, 7.0],
        [-1500.0, -300.0, -60.0, -25.0, -15.0, -10.0, 9.0, 12.0, 18.0, 25.0, 60.0, 300.0, 1500.0],
    ],
    np.float32,
)
_NEAR = {"rtol": 1e-4, "atol": 1e-5}


def call_function(name: str, function: Callable[[Any], Any]) -> Function:
    """Describe a function by its values.

    Args:
        name: Its name.
        function: Takes a batch of rows of numbers; a user's function may refuse them.

    Returns:
        The function, without values if it cannot be called.
    """
    try:
        answers = np.asarray(function(tf.constant(GRID)), np.float64)
    except Exception:  # a user's function may fail in any way; then its name is compared
        return Function(name=name)
    values = tuple(answers.ravel().tolist()) if answers.size == GRID.size else ()
    return Function(name=name, values=values, call=function)


def named_function(name: str, *, keras_2: bool) -> Function:
    """One of Keras' own activations.

    Args:
        name: Its name in a configuration.
        keras_2: Whether Keras 2 wrote it.

    Returns:
        The function; without values if it is not one of Keras'.
    """
    if name == "hard_sigmoid" and keras_2:
        # Keras 3 divides by 6, as PyTorch does.
        return call_function("hard_sigmoid of Keras 2", lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0))
    function = getattr(keras.activations, name, None) if name.isidentifier() else None
    if not callable(function) or name in ("get", "serialize", "deserialize"):
        return Function(name=name)
    return call_function(name, function)


def layer_function(kind: str, settings: Mapping[str, Any]) -> Function:
    """The function of a layer of `ACTIVATIONS`.

    Args:
        kind: The layer's class.
        settings: Its settings: numbers, and the function of an `Activation`.

    Returns:
        The function, along the last axis.
    """
    activation = settings.get("activation")
    if kind == "Activation":
        return activation if isinstance(activation, Function) else Function(name=str(activation))
    numbers = {key: value for key, value in settings.items() if isinstance(value, int | float | list)}
    if kind == "LeakyReLU" and "alpha" in numbers:
        numbers["negative_slope"] = numbers.pop("alpha")  # the name in Keras 2
    names = {"max_value", "negative_slope", "threshold", "alpha"}
    options = {key: value for key, value in numbers.items() if key in names}
    name = f"{kind}({', '.join(f'{key}={value}' for key, value in sorted(options.items()))})"
    try:
        layer = getattr(keras.layers, kind)(**options)
    except (TypeError, ValueError):
        return Function(name=name)
    return call_function(name, layer)


def same_function(first: Function, second: Function) -> bool:
    """Whether two functions have the same values, or the same names if one has no values."""
    if first.values and second.values:
        return same_values(first.values, second.values)
    return first.name == second.name


def same_values(first: Any, second: Any) -> bool:
    """Whether two lists of values are equal except for rounding."""
    return np.shape(first) == np.shape(second) and np.allclose(first, second, equal_nan=True, **_NEAR)
