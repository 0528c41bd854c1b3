"""Layers that a layer keeps in lists and dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras

from redraw.compat.keras import own_attributes
from redraw.compat.tensorflow import follow, is_trackable


def containers_of(item: Any) -> dict[str, Any]:
    """What a layer holds lists and dicts of layers in, or such a list or dict its parts, by name."""
    if isinstance(item, list | tuple | dict):
        return {name: child for name, child in _items(item) if _leads_to_layers(child)}
    if not isinstance(item, keras.layers.Layer):
        return {}
    return {
        name: held
        for name, held in own_attributes(item).items()
        if isinstance(held, list | tuple | dict) and _leads_to_layers(held)
    }


def follow_containers(layers: Iterable[Any]) -> None:
    """Have a `tf.train.Checkpoint` of layers hold what is in their lists and dicts.

    Keras 2 lets TensorFlow follow them, Keras 3 does not: a checkpoint would silently lack those weights.
    Their places are those of Keras 2, `blocks/0/kernel`. It may be called again, when a list has grown.
    """
    for layer in layers:
        for name, held in containers_of(layer).items():
            if not is_trackable(held):
                follow(layer, name, _plain(held))


def _plain(held: Any) -> Any:
    """The same in TensorFlow's own kinds, with names for keys."""
    if isinstance(held, dict):
        return {str(name): _plain(child) for name, child in held.items()}
    return [_plain(child) for child in held] if isinstance(held, list | tuple) else held


def _items(container: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    return ((str(name), child) for name, child in pairs)


def _leads_to_layers(item: Any, deepest: int = 5) -> bool:
    if isinstance(item, list | tuple | dict):
        # A container may hold itself.
        return deepest > 0 and any(_leads_to_layers(child, deepest - 1) for _, child in _items(item))
    return isinstance(item, keras.layers.Layer)
