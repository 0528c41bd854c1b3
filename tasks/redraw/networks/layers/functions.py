"""Functions of layers, compared by their answers: names changed their meaning between versions of Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from redraw.networks.layers.layer import Function

# Kinds of layers that are a function of their input and nothing else.
ACTIVATIONS = frozenset({"Activation", "ReLU", "LeakyReLU", "ELU", "Softmax"})
# What functions are asked with.
GRID = np.array(
    [
        [-8.0, -3.5, -2.75, -1.5, -0.5, -0.01, 0.0, 0.01, 0.5, 1.5, 2.75, 3.5, 7.0],
        [-1500.0, -300.0, -60.0, -25.0, -15.0, -10.0, 9.0, 12.0, 18.0, 25.0, 60.0, 300.0, 1500.0],
    ],
    np.float32,
)
_NEAR = {"rtol": 1e-4, "atol": 1e-5}


def call_function(name: str, function: Callable[[Any], Any]) -> Function:
    """Describe a function by its answers.

    Args:
        name: What it is called.
        function: Takes a batch of rows of numbers; anybody's code, which may refuse them.

    Returns:
        The function, without values where it cannot be asked.
    """
    try:
        answers = np.asarray(function(tf.constant(GRID)), np.float64)
    except Exception:  # anybody's code may fail in any way; its name is compared then
        return Function(name=name)
    values = tuple(answers.ravel().tolist()) if answers.size == GRID.size else ()
    return Function(name=name, values=values, call=function)


def named_function(name: str, *, keras_2: bool) -> Function:
    """One of Keras' own activations.

    Args:
        name: As a configuration has it.
        keras_2: Whether Keras 2 wrote that.

    Returns:
        The function; without values where it is none of Keras'.
    """
    if name == "hard_sigmoid" and keras_2:
        # Keras 3 divides by 6, as PyTorch does.
        return call_function("hard_sigmoid of Keras 2", lambda x: tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0))
    known = getattr(keras.activations, name, None) if name.isidentifier() else None
    if not callable(known) or name in ("get", "serialize", "deserialize"):
        return Function(name=name)
    return call_function(name, known)


def layer_function(kind: str, settings: Mapping[str, Any]) -> Function:
    """What a layer of `ACTIVATIONS` does.

    Args:
        kind: The layer's.
        settings: Its own; numbers, and the function of an `Activation`.

    Returns:
        The function, along the last axis.
    """
    given = settings.get("activation")
    if kind == "Activation":
        return given if isinstance(given, Function) else Function(name=str(given))
    shown = {key: value for key, value in settings.items() if isinstance(value, int | float | list)}
    if kind == "LeakyReLU" and "alpha" in shown:
        shown["negative_slope"] = shown.pop("alpha")  # as Keras 2 calls it
    names = {"max_value", "negative_slope", "threshold", "alpha"}
    kept = {key: value for key, value in shown.items() if key in names}
    name = f"{kind}({', '.join(f'{key}={value}' for key, value in sorted(kept.items()))})"
    try:
        layer = getattr(keras.layers, kind)(**kept)
    except (TypeError, ValueError):
        return Function(name=name)
    return call_function(name, layer)


def same_function(ours: Function, theirs: Function) -> bool:
    """Whether two functions answer alike; by their names where one cannot be asked."""
    if ours.values and theirs.values:
        return same_values(ours.values, theirs.values)
    return ours.name == theirs.name


def same_values(ours: Any, theirs: Any) -> bool:
    """Whether two lists of answers are equal but for rounding."""
    return np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, equal_nan=True, **_NEAR)
