"""The order and the paths in which Keras 2 would save the parts of a network of Keras 3.

It ends with the files of Keras 2. It follows `tf_keras` 2.21, and tests compare it with that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable

from redraw.compat.keras import (
    added_weights,
    container_name,
    functional_of,
    inner_layers,
    own_attributes,
    saved_variables,
)

_CONTAINERS = (list, tuple, dict)


def saved_places_of_keras_2(network: keras.Model) -> dict[str, Any]:
    """The places where Keras 2 puts each variable of a network in its `.keras` and `.weights.h5`.

    It walks the attributes in the opposite order of Keras 3, and orders a model's layers by its attributes.
    For a list that was filled after other layers were created, it is unknown whether the list existed before
    them: places that depend on this are left out.

    Args:
        network: A Keras model; its variables may have no memory.

    Returns:
        Place, such as `layers/dense/vars/0`, to the `tf.Variable` that is saved there.
    """
    places, others = (dict(_variables_by_path(network, early)) for early in (True, False))
    return {place: variable for place, variable in places.items() if others.get(place) is variable}


def weights_of_keras_2(layer: keras.layers.Layer, *, early: bool = True) -> list[Any]:
    """The weights of a layer in the order of Keras 2: trainable ones first.

    Args:
        layer: A layer, or a model.
        early: Whether a list counts as created with its attribute, or with its first layer.

    Returns:
        Each weight once, including bare `tf.Variable`s of a layer.
    """
    return _trained_first(_variables(layer, early))


def own_weights_of_keras_2(layer: keras.layers.Layer) -> list[Any]:
    """A layer's weights in the order of Keras 2, without those of its inner layers."""
    return _trained_first(_own_variables(layer))


def _trained_first(variables: Iterable[Any]) -> list[Any]:
    unique = {id(variable): variable for variable in variables}
    return sorted(unique.values(), key=lambda variable: not variable.trainable)


def layers_of_keras_2(item: Any, *, early: bool = True) -> list[keras.layers.Layer]:
    """The direct inner layers of a layer or a model, in the order of Keras 2.

    Args:
        item: A layer, or a model.
        early: Whether a list counts as created with its attribute, or with its first layer.

    Returns:
        The layers; those of a dict are sorted by name.
    """
    if functional_of(item) is not None:
        return list(item.layers)
    if type(item).__module__.startswith("keras."):
        return inner_layers(item)
    order = {id(layer): number for number, layer in enumerate(inner_layers(item))}
    values = list(own_attributes(item).values())
    groups = [list(_layers_in(value)) for value in values]
    if not early or not any(
        layers and isinstance(value, _CONTAINERS) for value, layers in zip(values, groups, strict=True)
    ):
        groups.sort(key=lambda layers: min((order.get(id(layer), len(order)) for layer in layers), default=0))
    return list({id(layer): layer for layers in groups for layer in layers}.values())


def _layers_in(value: Any) -> Iterator[keras.layers.Layer]:
    if isinstance(value, keras.layers.Layer):
        yield value
    elif isinstance(value, _CONTAINERS):
        for item in _sorted_items(value) if isinstance(value, dict) else value:
            yield from _layers_in(item)


def _sorted_items(value: dict[Any, Any]) -> list[Any]:
    pairs = list(value.items())
    with contextlib.suppress(TypeError):  # keys of different types have no order
        pairs.sort(key=lambda pair: pair[0])
    return [item for _, item in pairs]


def _own_variables(layer: Any) -> Iterator[Any]:
    yield from added_weights(layer)
    yield from (value for value in vars(layer).values() if isinstance(value, tf.Variable))


def _variables(layer: Any, early: bool) -> Iterator[Any]:
    yield from _own_variables(layer)
    for inner in layers_of_keras_2(layer, early=early):
        yield from _variables(inner, early)


def _variables_by_path(network: keras.Model, early: bool) -> Iterator[tuple[str, Any]]:
    for path, part in _parts(network, "", {}, early):
        yield from saved_variables(path, part)


def _parts(item: Any, path: str, visited: dict[int, Any], early: bool) -> Iterator[tuple[str, Any]]:
    """Every part of a model in the order and under the paths of Keras 2's walk."""
    if id(item) in visited:
        return
    visited[id(item)] = item
    yield path, item
    for attribute, child in _attributes(item, early):
        inner = f"{path}/{attribute}" if path else attribute
        if isinstance(child, KerasSaveable):
            yield from _parts(child, inner, visited, early)
            continue
        used: dict[str, int] = {}
        # Keras 2 leaves out the items of nested lists.
        for part in child.values() if isinstance(child, dict) else child:
            if isinstance(part, KerasSaveable) and id(part) not in visited:
                name = container_name(type(part).__name__, used)
                yield from _parts(part, f"{inner}/{name}", visited, early)


def _attributes(item: Any, early: bool) -> list[tuple[str, Any]]:
    """A part's attributes with the names of Keras 2, in reverse order of names."""
    attributes = {
        name: child
        for name, child in saving_lib._walk_saveable(item)
        if isinstance(child, KerasSaveable | list | tuple | dict)
    }
    if isinstance(item, keras.Model):
        attributes |= {"layers": layers_of_keras_2(item, early=early)}
        attributes.pop("operations", None)
    if type(item).__module__.startswith("keras."):
        # Keras 3 also has a public name for some private attributes of Keras 2's layers.
        attributes = {
            name: part for name, part in attributes.items() if attributes.get(f"_{name}") is not part
        }
    return sorted(attributes.items(), key=lambda pair: pair[0], reverse=True)
