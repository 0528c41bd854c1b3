"""Describe the layers that a definition builds, in the same form as those of a file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from redraw.compat.keras import Call, calls_of, functional_of, merges_masks
from redraw.networks.layers.calls import constants, in_order, keywords
from redraw.networks.layers.functions import call_function, named_function
from redraw.networks.layers.layer import Layer, Model, canonical_kind, nth_output
from redraw.networks.layers.settings import split_activation
from redraw.networks.modules import layers_of

logger = logging.getLogger(__name__)


def describe_network(network: Any) -> Model:
    """Describe a network's layers.

    Args:
        network: Keras model or `tf.Module` that was called at least once; its variables may have no memory.

    Returns:
        Its layers, with their calls if Keras knows them.
    """
    functional, every = (
        functional_of(network),
        tuple(_describe(layer, ()) for layer in layers_of(network)),
    )
    if functional is None:
        own = _describe(network, ()) if isinstance(network, keras.Model) else None
        return Model(layers=every, own=own, every=every)
    walk = _Walk()
    inputs = [
        _describe(tensor._keras_history.operation, ()) for tensor in keras.tree.flatten(functional.inputs)
    ]
    outputs = walk.run(functional, inputs)
    return Model(
        layers=tuple(walk.layers),
        outputs=tuple(outputs),
        inputs=tuple(inputs),
        listed=isinstance(functional.output, list | tuple),
        every=every,
    )


class _Walk:
    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def run(self, functional: Any, inputs: Sequence[Layer]) -> list[Layer]:
        begins = keras.tree.flatten(functional.inputs)
        made = {id(tensor): inputs[min(n, len(inputs) - 1)] for n, tensor in enumerate(begins)}
        for call in calls_of(functional):
            called_with = [made[id(tensor)] for tensor in _arguments(call) if id(tensor) in made]
            made.update(self._call(call, called_with))
        return [made[id(tensor)] for tensor in keras.tree.flatten(functional.outputs)]

    def _call(self, call: Any, inputs: Sequence[Layer]) -> dict[int, Layer]:
        inner = functional_of(call.operation)
        if inner is not None:
            outputs = self.run(inner, inputs)
        else:
            layer = _describe(call.operation, inputs, call)
            layer.merges_masks = merges_masks(call)
            self.layers.append(layer)
            outputs = [nth_output(layer, number) for number in range(len(call.outputs))]
        return {id(tensor): layer for tensor, layer in zip(call.outputs, outputs, strict=True)}


def _arguments(call: Call) -> list[Any]:
    named = (value for _, value in in_order(call.keywords))
    arguments: list[Any] = keras.tree.flatten([*call.positional, *named])
    return arguments


def _rank_of_first(call: Call) -> int | None:
    return next((len(item.shape) for item in _arguments(call) if hasattr(item, "shape")), None)


def _describe(layer: Any, inputs: Sequence[Layer], call: Call | None = None) -> Layer:
    kind, settings = canonical_kind(type(layer).__name__), _settings(layer)
    if not isinstance(layer, keras.layers.Layer):
        own = {key: value for key, value in settings.items() if key not in ("name", "dtype")}
        arguments = () if call is None else [*call.positional, *(v for _, v in sorted(call.keywords.items()))]
        kind, settings = f"operation {kind}", {**own, "arguments": list(constants(arguments))}
    described = Layer(
        name=str(layer.name),
        kind=kind,
        settings=settings,
        inputs=tuple(inputs),
        called_with=None if call is None else keywords(call.keywords, kind),
        rank=None if call is None else _rank_of_first(call),
    )
    return split_activation(described)


def _settings(layer: Any) -> dict[str, Any]:
    try:
        settings = dict(layer.get_config())
    except Exception as err:  # a layer's own code may fail in any way
        logger.info("layer %s: has no settings (%s)", layer.name, type(err).__name__)
        return {}
    described = {key: _value(key, value, getattr(layer, key, None)) for key, value in settings.items()}
    if hasattr(layer, "get_vocabulary"):
        described["vocabulary"] = [_text(word) for word in layer.get_vocabulary()]
    return described


def _value(key: str, value: Any, live: Any) -> Any:
    if key.endswith("activation") and callable(live):
        function = call_function(_name_of(value, live), live)
        return replace(function, default=live is keras.activations.sigmoid)
    if key.endswith("activation") and isinstance(value, str):
        return named_function(value, keras_2=False)
    if isinstance(value, dict) and isinstance(value.get("config"), dict) and "class_name" in value:
        if isinstance(live, keras.layers.Layer):
            return {"class_name": type(live).__name__, "config": _settings(live)}
        settings = {inner: _value(inner, item, None) for inner, item in value["config"].items()}
        return {"class_name": value["class_name"], "config": settings}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        lives = live if isinstance(live, list | tuple) and len(live) == len(value) else [None] * len(value)
        return [_value("", item, inner) for item, inner in zip(value, lives, strict=True)]
    return value


def _name_of(value: Any, live: Any) -> str:
    if isinstance(value, dict):
        value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
    return value if isinstance(value, str) else str(getattr(live, "__name__", type(live).__name__))


def _text(word: Any) -> Any:
    return word.decode() if isinstance(word, bytes) else getattr(word, "item", lambda: word)()
