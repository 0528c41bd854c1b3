"""What layers and operations are called with, but for tensors: the same of a file as of what is drawn."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras

# What Keras 2 writes in the place of a layer's name where an operation is called with a number first.
CONSTANT = "_CONSTANT_VALUE"
_PLAIN = (bool, int, float, str)
_TENSOR = "tensor"
# What Keras 3 calls operations of Keras 2 on two tensors, or a tensor and a number.
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
    """The numbers and texts among arguments.

    Args:
        arguments: As Keras keeps them of a call, or as its files have them.

    Yields:
        Each, in their order; a slice is a text, and so is the place of a tensor.
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
        arguments: Keyword to value, as Keras keeps them or as its files have them.
        kind: The class of a layer of Keras 3, which also keeps what it is called with by default.

    Returns:
        Those with a number, a text or True; and the masks that follow from nothing else.
    """
    kept: dict[str, Any] = {}
    usual = _defaults(kind)
    for key, value in arguments.items():
        if key in usual and usual[key] is value:
            continue
        if key.endswith("_mask") and value is not None and not isinstance(value, _PLAIN):
            kept[key] = _TENSOR
        elif isinstance(value, _PLAIN) and value is not False and key not in ("mask", "name"):
            kept[key] = value
    return kept


@functools.cache
def _defaults(kind: str) -> Mapping[str, Any]:
    """What a layer of Keras is called with if nothing is said: `training=True` where images are changed."""
    layer: Any = getattr(keras.layers, kind, None) if kind.isidentifier() else None
    call = getattr(layer, "call", None)
    return (
        {} if call is None else {key: one.default for key, one in inspect.signature(call).parameters.items()}
    )


def in_order(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The keywords of a call in the order in which they are given without names; a mask follows from others.

    Args:
        arguments: Keyword to value.

    Returns:
        The pairs.
    """
    kept = [(key, value) for key, value in arguments.items() if key != "mask"]
    return sorted(kept, key=lambda pair: (_ATTENDED.get(pair[0], len(_ATTENDED)), pair[0]))


def operation_of_keras_2(function: Any, node: Any) -> tuple[str, list[Any]] | None:
    """An operation that Keras 2 has written, as Keras 3 would.

    Args:
        function: Its name, such as `math.multiply`.
        node: What it is called with.

    Returns:
        Its kind and what it is called with; None of one that is not known here.
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
    known = (part if part is None or isinstance(part, int) else _TENSOR for part in parts)
    return ":".join("" if part is None else str(part) for part in known)
