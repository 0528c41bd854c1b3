"""Recognize functions that a model writes with several layers: `x * relu6(x + 3) / 6` is `hard_swish`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from redraw.compat.keras import to_snake_case
from redraw.networks.layers.functions import ACTIVATIONS, GRID, layer_function, named_function, same_values
from redraw.networks.layers.layer import Function, Layer

# The most layers that form one function.
_MOST = 8
_TENSOR = "tensor"
_COMBINATIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "Add": sum,
    "Subtract": lambda parts: parts[0] - parts[1],
    "Multiply": math.prod,
    "TrueDivide": lambda parts: parts[0] / parts[1],
    "Average": lambda parts: sum(parts) / len(parts),
    "Maximum": lambda parts: np.maximum(*parts),
    "Minimum": lambda parts: np.minimum(*parts),
    "Power": lambda parts: np.power(*parts),
}


def same_composition(saved: Layer, built: Layer) -> tuple[Layer, Layer] | None:
    """Find two earlier layers of which layers of different kinds are the same elementwise function.

    Args:
        saved: The layer in the file.
        built: The layer that the definition builds.

    Returns:
        These earlier layers; None if there are none.
    """
    functions = [list(_functions(layer)) for layer in (saved, built)]
    pairs = ((a, b) for a in functions[0] for b in functions[1])
    return next(((a[0], b[0]) for a, b in pairs if same_values(b[1], a[1])), None)


def _functions(layer: Layer) -> Iterator[tuple[Layer, Any]]:
    """The single layers that a layer depends on, the nearest first, with its values at the grid."""
    visited, queue = {layer}, list(layer.inputs)
    for source in queue:
        if source in visited or len(visited) > _MOST:
            continue
        visited.add(source)
        with np.errstate(all="ignore"):
            answers = _evaluate(layer, source)
        if answers is not None:
            yield source, answers
        queue.extend(source.inputs)


def _evaluate(layer: Layer, source: Layer, depth: int = _MOST) -> Any:
    """The values of a layer if `source` returns the grid; None for other kinds of layers."""
    if layer is source:
        return GRID
    parts = [_evaluate(part, source, depth - 1) for part in layer.inputs] if depth else [None]
    if not parts or any(part is None for part in parts):
        return None
    if layer.kind in ACTIVATIONS:
        return _apply(layer_function(layer.kind, layer.settings), parts[0])
    if layer.kind == "Rescaling":
        numbers = [layer.settings.get(key) for key in ("scale", "offset")]
        return _combine("Add", [_combine("Multiply", [parts[0], numbers[0]]), numbers[1]])
    kind = layer.kind.removeprefix("operation ")
    if kind != layer.kind:
        arguments, tensors = layer.settings.get("arguments") or [], iter(parts)
        if arguments == [_TENSOR]:
            return _apply(named_function(to_snake_case(kind), keras_2=False), parts[0])
        parts = [next(tensors, None) if part == _TENSOR else part for part in arguments]
    return _combine(kind, parts)


def _combine(kind: str, parts: Sequence[Any]) -> Any:
    """The value of a layer with several inputs; None for another kind, or if an input is not numeric."""
    numbers = all(isinstance(part, int | float | np.ndarray) for part in parts)
    return _COMBINATIONS[kind](parts) if kind in _COMBINATIONS and numbers and len(parts) > 1 else None


def _apply(function: Function, x: Any) -> Any:
    """A function's values; None if it is not elementwise, such as softmax."""
    if function.call is None:
        return None
    try:
        rows, columns = (np.asarray(function.call(np.float32(part))) for part in (x, x.T))
    except Exception:  # a user's function may fail in any way
        return None
    return rows if rows.shape == x.shape and same_values(rows, columns.T) else None
