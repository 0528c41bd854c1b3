"""The arguments of calls of layers and operations except tensors, in one form for files and networks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras

# Keras 2 writes this in place of a layer's name if an operation's first argument is a number.
CONSTANT = "_CONSTANT_VALUE"
_PLAIN = (bool, int, float, str)
_TENSOR = "tensor"
# Keras 2's operations on two tensors, or a tensor and a number, to their names in Keras 3.
_OPERATIONS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.pow": "Power",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
}
_ATTENDED = {"query": 0, "value": 1, "key": 2}
_SLICED = "__operators__.getitem"
_SLICE = ("start", "stop", "step")


def constants(arguments: Any) -> Iterator[Any]:
    """The numbers and strings among arguments.

    Args:
        arguments: The arguments of a call, from Keras or from one of its files.

    Yields:
        Each, in their order; a slice and the position of a tensor are strings.
    """
    if isinstance(arguments, Mapping):
        yield from _of_mapping(arguments)
    elif isinstance(arguments, list | tuple):
        for item in arguments:
            yield from constants(item)
    elif isinstance(arguments, slice):
        yield _slice(arguments.start, arguments.stop, arguments.step)
    elif arguments is Ellipsis:
        yield "..."
    elif isinstance(arguments, _PLAIN):
        yield arguments
    elif isinstance(arguments, keras.KerasTensor):
        yield _TENSOR
    elif hasattr(arguments, "__array__"):
        yield from constants(arguments.__array__().tolist())


def keywords(arguments: Mapping[str, Any], kind: str = "") -> dict[str, Any]:
    """The keywords of a call that change what a layer does, such as `training` and `use_causal_mask`.

    Args:
        arguments: Keyword to value, from Keras or from one of its files.
        kind: The class of a layer of Keras 3, which also records default arguments.

    Returns:
        Those with a number, a string or True, and masks that are passed explicitly.
    """
    changing: dict[str, Any] = {}
    usual = _defaults(kind)
    for key, value in arguments.items():
        if key in usual and usual[key] is value:
            continue
        if key.endswith("_mask") and value is not None and not isinstance(value, _PLAIN):
            changing[key] = _TENSOR
        elif isinstance(value, _PLAIN) and value is not False and key not in ("mask", "name"):
            changing[key] = value
    return changing


@functools.cache
def _defaults(kind: str) -> Mapping[str, Any]:
    """The default arguments of a layer's call, such as `training=True` for image augmentation."""
    layer: Any = getattr(keras.layers, kind, None) if kind.isidentifier() else None
    call = getattr(layer, "call", None)
    return (
        {}
        if call is None
        else {key: parameter.default for key, parameter in inspect.signature(call).parameters.items()}
    )


def in_order(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The keywords of a call, without the mask, in the order of positional arguments.

    Args:
        arguments: Keyword to value.

    Returns:
        The pairs.
    """
    pairs = [(key, value) for key, value in arguments.items() if key != "mask"]
    return sorted(pairs, key=lambda pair: (_ATTENDED.get(pair[0], len(_ATTENDED)), pair[0]))


def operation_of_keras_2(function: Any, node: Any) -> tuple[str, list[Any]] | None:
    """Translate an operation of Keras 2 to Keras 3.

    Args:
        function: Its name, such as `math.multiply`.
        node: The arguments of its call.

    Returns:
        Its kind and its arguments; None for an unknown operation.
    """
    first = node if isinstance(node[0], str) else node[0]
    named = first[3] if len(first) > len(_SLICE) else {}
    begins = first[2] if first[0] == CONSTANT else _TENSOR
    if function in _OPERATIONS and "y" in named:
        other = named["y"]
        return _OPERATIONS[function], [begins, _TENSOR if isinstance(other, list) else other]
    spec = named.get("slice_spec") if function == _SLICED else None
    if not isinstance(spec, list) or any(isinstance(item, dict) and "start" not in item for item in spec):
        return None
    return "GetItem", [begins, *(_slice(*map(s.get, _SLICE)) if isinstance(s, dict) else s for s in spec)]


def _of_mapping(arguments: Mapping[str, Any]) -> Iterator[Any]:
    kind, config = arguments.get("class_name"), arguments.get("config")
    if kind == "__keras_tensor__":
        yield _TENSOR
    elif kind == "__ellipsis__":
        yield "..."
    elif kind == "__slice__" and isinstance(config, Mapping):
        yield _slice(*map(config.get, _SLICE))
    elif kind in ("__numpy__", "__tensor__") and isinstance(config, Mapping):
        yield from constants(config.get("value"))
    else:
        for _, item in sorted(arguments.items()):
            yield from constants(item)


def _slice(*parts: Any) -> str:
    bounds = (part if part is None or isinstance(part, int) else _TENSOR for part in parts)
    return ":".join("" if part is None else str(part) for part in bounds)
