"""Functions that a model is written with in several layers: `x * relu6(x + 3) / 6` is `hard_swish`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from redraw.compat.keras import to_snake_case
from redraw.networks.layers.functions import ACTIVATIONS, GRID, layer_function, named_function, same_values
from redraw.networks.layers.layer import Function, Layer

# How many layers one function may be made of.
_MOST = 8
_TENSOR = "tensor"
_COMBINED: dict[str, Callable[[Sequence[Any]], Any]] = {
    "Add": sum,
    "Subtract": lambda parts: parts[0] - parts[1],
    "Multiply": math.prod,
    "TrueDivide": lambda parts: parts[0] / parts[1],
    "Average": lambda parts: sum(parts) / len(parts),
    "Maximum": lambda parts: np.maximum(*parts),
    "Minimum": lambda parts: np.minimum(*parts),
    "Power": lambda parts: np.power(*parts),
}


def same_composition(theirs: Layer, ours: Layer) -> tuple[Layer, Layer] | None:
    """Find what two layers of different kinds are the same function of, number by number.

    Args:
        theirs: The file's.
        ours: The definition's.

    Returns:
        The layers that both are that function of; None if there are none.
    """
    found = [list(_functions(layer)) for layer in (theirs, ours)]
    pairs = ((a, b) for a in found[0] for b in found[1])
    return next(((a[0], b[0]) for a, b in pairs if same_values(b[1], a[1])), None)


def _functions(layer: Layer) -> Iterator[tuple[Layer, Any]]:
    """What a layer depends on and nothing else, the nearest first, and its answers to the grid."""
    seen, queue = {layer}, list(layer.inputs)
    for source in queue:
        if source in seen or len(seen) > _MOST:
            continue
        seen.add(source)
        with np.errstate(all="ignore"):
            answers = _ask(layer, source)
        if answers is not None:
            yield source, answers
        queue.extend(source.inputs)


def _ask(layer: Layer, source: Layer, left: int = _MOST) -> Any:
    """The answers of a layer to the grid as what a source gives; None if it is another kind of layer."""
    if layer is source:
        return GRID
    parts = [_ask(part, source, left - 1) for part in layer.inputs] if left else [None]
    if not parts or any(part is None for part in parts):
        return None
    if layer.kind in ACTIVATIONS:
        return _applied(layer_function(layer.kind, layer.settings), parts[0])
    if layer.kind == "Rescaling":
        numbers = [layer.settings.get(key) for key in ("scale", "offset")]
        return _combined("Add", [_combined("Multiply", [parts[0], numbers[0]]), numbers[1]])
    kind = layer.kind.removeprefix("operation ")
    if kind != layer.kind:
        given, tensors = layer.settings.get("arguments") or [], iter(parts)
        if given == [_TENSOR]:
            return _applied(named_function(to_snake_case(kind), keras_2=False), parts[0])
        parts = [next(tensors, None) if part == _TENSOR else part for part in given]
    return _combined(kind, parts)


def _combined(kind: str, parts: Sequence[Any]) -> Any:
    """What a layer makes of several inputs; None of another kind, or of more than numbers."""
    numbers = all(isinstance(part, int | float | np.ndarray) for part in parts)
    return _COMBINED[kind](parts) if kind in _COMBINED and numbers and len(parts) > 1 else None


def _applied(function: Function, x: Any) -> Any:
    """A function's answers; None of one that sees more than one number at a time, such as softmax."""
    if function.call is None:
        return None
    try:
        rows, columns = (np.asarray(function.call(np.float32(part))) for part in (x, x.T))
    except Exception:  # anybody's code may fail in any way
        return None
    return rows if rows.shape == x.shape and same_values(rows, columns.T) else None
