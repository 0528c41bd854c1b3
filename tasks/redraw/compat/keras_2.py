"""In which order and under which paths Keras 2 saves the parts of a network that Keras 3 draws.

It ends with the files of Keras 2. All of it is that of `tf_keras` 2.21, which tests compare it with.
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
    """Where Keras 2 puts each variable of a network in its `.keras` and `.weights.h5`.

    It walks the attributes the other way round than Keras 3, and takes a model's layers by the order of
    attributes. Of a list that was filled after other layers were made nobody knows whether it was there
    before them: a place that is another variable's then is no one's.

    Args:
        network: A Keras model; its variables may have no memory.

    Returns:
        Place, such as `layers/dense/vars/0`, to the `tf.Variable` that goes there.
    """
    places, others = (dict(_walked(network, early)) for early in (True, False))
    return {place: variable for place, variable in places.items() if others.get(place) is variable}


def weights_of_keras_2(layer: keras.layers.Layer, *, early: bool = True) -> list[Any]:
    """The weights of a layer in the order of Keras 2: what is trained first.

    Args:
        layer: A layer, or a model.
        early: As `layers_of_keras_2` takes it.

    Returns:
        Each once; those that a layer made itself, as a `tf.Variable`, included.
    """
    return _trained_first(_variables(layer, early))


def own_weights_of_keras_2(layer: keras.layers.Layer) -> list[Any]:
    """The same without those of the layers in it."""
    return _trained_first(_own_variables(layer))


def _trained_first(variables: Iterable[Any]) -> list[Any]:
    held = {id(variable): variable for variable in variables}
    return sorted(held.values(), key=lambda variable: not variable.trainable)


def layers_of_keras_2(item: Any, *, early: bool = True) -> list[keras.layers.Layer]:
    """The layers that a layer or a model holds itself, in the order of Keras 2.

    Args:
        item: A layer, or a model.
        early: Whether a list counts as made where its attribute was; if not, where its first layer was.

    Returns:
        The layers. Keras 2 sorts those of a dict by their names.
    """
    if functional_of(item) is not None:
        return list(item.layers)
    if type(item).__module__.startswith("keras."):
        return inner_layers(item)
    made = {id(layer): number for number, layer in enumerate(inner_layers(item))}
    values = list(own_attributes(item).values())
    held = [list(_layers_in(value)) for value in values]
    if not early or not any(
        layers and isinstance(value, _CONTAINERS) for value, layers in zip(values, held, strict=True)
    ):
        held.sort(key=lambda layers: min((made.get(id(layer), len(made)) for layer in layers), default=0))
    return list({id(layer): layer for layers in held for layer in layers}.values())


def _layers_in(value: Any) -> Iterator[keras.layers.Layer]:
    if isinstance(value, keras.layers.Layer):
        yield value
    elif isinstance(value, _CONTAINERS):
        for item in _sorted_items(value) if isinstance(value, dict) else value:
            yield from _layers_in(item)


def _sorted_items(value: dict[Any, Any]) -> list[Any]:
    pairs = list(value.items())
    with contextlib.suppress(TypeError):  # names of several kinds have no order
        pairs.sort(key=lambda pair: pair[0])
    return [item for _, item in pairs]


def _own_variables(layer: Any) -> Iterator[Any]:
    yield from added_weights(layer)
    yield from (value for value in vars(layer).values() if isinstance(value, tf.Variable))


def _variables(layer: Any, early: bool) -> Iterator[Any]:
    yield from _own_variables(layer)
    for inner in layers_of_keras_2(layer, early=early):
        yield from _variables(inner, early)


def _walked(network: keras.Model, early: bool) -> Iterator[tuple[str, Any]]:
    for path, part in _parts(network, "", {}, early):
        yield from saved_variables(path, part)


def _parts(item: Any, path: str, seen: dict[int, Any], early: bool) -> Iterator[tuple[str, Any]]:
    """Every part of a model in the order and under the paths of Keras 2's walk."""
    if id(item) in seen:
        return
    seen[id(item)] = item
    yield path, item
    for attribute, child in _attributes(item, early):
        inner = f"{path}/{attribute}" if path else attribute
        if isinstance(child, KerasSaveable):
            yield from _parts(child, inner, seen, early)
            continue
        used: dict[str, int] = {}
        # What is in a list of a list it leaves out.
        for part in child.values() if isinstance(child, dict) else child:
            if isinstance(part, KerasSaveable) and id(part) not in seen:
                name = container_name(type(part).__name__, used)
                yield from _parts(part, f"{inner}/{name}", seen, early)


def _attributes(item: Any, early: bool) -> list[tuple[str, Any]]:
    """What a part holds, by the names of Keras 2, the last name first."""
    held = {
        name: child
        for name, child in saving_lib._walk_saveable(item)
        if isinstance(child, KerasSaveable | list | tuple | dict)
    }
    if isinstance(item, keras.Model):
        held |= {"layers": layers_of_keras_2(item, early=early)}
        held.pop("operations", None)
    if type(item).__module__.startswith("keras."):
        # What Keras 2 kept private of its own layers has a public name, too, in Keras 3.
        held = {name: part for name, part in held.items() if held.get(f"_{name}") is not part}
    return sorted(held.items(), key=lambda pair: pair[0], reverse=True)
