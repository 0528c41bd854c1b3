"""Layers that a layer keeps in lists and dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras

from redraw.compat.keras import own_attributes
from redraw.compat.tensorflow import follow, is_trackable


def containers_of(item: Any) -> dict[str, Any]:
    """The attributes of a layer that are lists or dicts of layers, or the parts of such a list or dict."""
    if isinstance(item, list | tuple | dict):
        return {name: child for name, child in _items(item) if _leads_to_layers(child)}
    if not isinstance(item, keras.layers.Layer):
        return {}
    return {
        name: value
        for name, value in own_attributes(item).items()
        if isinstance(value, list | tuple | dict) and _leads_to_layers(value)
    }


def follow_containers(layers: Iterable[Any]) -> None:
    """Let a `tf.train.Checkpoint` of layers include the layers in their lists and dicts.

    Keras 2 lets TensorFlow follow them, Keras 3 does not: a checkpoint would silently lack those weights.
    Their places are those of Keras 2, `blocks/0/kernel`. Call it again after a list has grown.
    """
    for layer in layers:
        for name, container in containers_of(layer).items():
            if not is_trackable(container):
                follow(layer, name, _plain(container))


def _plain(container: Any) -> Any:
    """The container as plain lists and dicts with string keys."""
    if isinstance(container, dict):
        return {str(name): _plain(child) for name, child in container.items()}
    return [_plain(child) for child in container] if isinstance(container, list | tuple) else container


def _items(container: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    return ((str(name), child) for name, child in pairs)


def _leads_to_layers(item: Any, deepest: int = 5) -> bool:
    if isinstance(item, list | tuple | dict):
        # A container may contain itself.
        return deepest > 0 and any(_leads_to_layers(child, deepest - 1) for _, child in _items(item))
    return isinstance(item, keras.layers.Layer)
