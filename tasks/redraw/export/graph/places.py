"""Find the place of each variable of a network in checkpoints that do not name variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from redraw.checkpoint.objects.object_graph import variables_from
from redraw.checkpoint.objects.structure import variables_by_structure
from redraw.checkpoint.objects.trackable import VARIABLE_VALUE, ObjectGraph, ObjectNode, SavedTensor
from redraw.compat.keras import added_weights, saved_places
from redraw.compat.keras_2 import (
    layers_of_keras_2,
    own_weights_of_keras_2,
    saved_places_of_keras_2,
    weights_of_keras_2,
)
from redraw.compat.tensorflow import is_trackable
from redraw.export.graph.drawn import Places
from redraw.networks.containers import containers_of


def find_places(network: Any, variables: Mapping[str, Any]) -> Places:
    """Find the places of a network's variables.

    Args:
        network: A Keras model or a `tf.Module`; its variables may have no memory.
        variables: Name to `tf.Variable`, from `weights_by_name`.
    """
    names = {id(variable): name for name, variable in variables.items()}
    graph = _live_graph(network, names)
    is_keras = isinstance(network, keras.Model)
    in_files, in_old_files = (
        (saved_places(network), saved_places_of_keras_2(network)) if is_keras else ({}, {})
    )
    trained = network.trainable_variables if is_keras else ()
    return Places(
        by_structure=_grouped((name, place) for place, name in variables_by_structure(graph, 0).items()),
        in_keras_files=_grouped((names[id(v)], place) for place, v in in_files.items() if id(v) in names),
        in_keras_2_files=_grouped((names[id(v)], p) for p, v in in_old_files.items() if id(v) in names),
        by_object=_grouped((tensor.key, path) for path, tensor in variables_from(graph, 0)),
        by_order=_grouped(_ordered(_order_of_keras_3(network), names)) if is_keras else {},
        by_old_orders=_orders_of_keras_2(network, names) if is_keras else (),
        own_names={names[key]: own for key, own in _own_names(network).items() if key in names},
        trained=tuple(names[id(variable.value)] for variable in trained if id(variable.value) in names),
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for name, place in pairs:
        groups[name] = (*groups.get(name, ()), place)
    return groups


def _live_graph(network: Any, names: Mapping[int, str]) -> ObjectGraph:
    view, numbers, objects = tf.train.TrackableView(network), {id(network): 0}, [network]
    nodes = []
    for item in objects:
        # Keras 2 also follows some lists and dicts of layers that Keras 3 does not.
        children = {**containers_of(item), **_named_weights(item), **_children(view, item)}
        for child in children.values():
            if id(child) not in numbers:
                numbers[id(child)] = len(objects)
                objects.append(child)
        name = names.get(id(_variable(item)))
        tensors = () if name is None else (SavedTensor(VARIABLE_VALUE, name, name),)
        references = tuple((attribute, numbers[id(child)]) for attribute, child in children.items())
        nodes.append(ObjectNode(children=references, tensors=tensors, slot_variables=()))
    return ObjectGraph(nodes=tuple(nodes))


def _children(view: Any, item: Any) -> Mapping[str, Any]:
    return view.children(item) if is_trackable(item) else {}


def _named_weights(item: Any) -> dict[str, Any]:
    """The weights that a layer added without an attribute; Keras 2 saves them by name."""
    if not isinstance(item, keras.layers.Layer):
        return {}
    added = added_weights(item)
    names = [variable.name for variable in added]
    return {v.name: v for v in added if names.count(v.name) == 1 and "/" not in v.name}


def _variable(item: Any) -> Any:
    return item.value if isinstance(item, keras.Variable) else item


def _own_names(network: Any) -> dict[int, str]:
    """The variables' own names in a `tf.train.Checkpoint`, which may differ from Keras' paths."""
    variables = (_variable(item) for item in tf.train.TrackableView(network).descendants())
    return {id(item): item.name.partition(":")[0] for item in variables if isinstance(item, tf.Variable)}


def _orders_of_keras_2(network: Any, names: Mapping[int, str]) -> list[dict[str, tuple[str, ...]]]:
    """The orders in which Keras 2 may list the weights: layer by layer, then the model's own."""
    orders = []
    for early in (True, False):
        layers = layers_of_keras_2(network, early=early)
        rows = [weights_of_keras_2(layer, early=early) for layer in layers]
        orders.append(_grouped(_ordered([*rows, own_weights_of_keras_2(network)], names)))
    return orders if orders[0] != orders[1] else orders[:1]


def _order_of_keras_3(network: Any) -> list[list[Any]]:
    return [[*layer.trainable_weights, *layer.non_trainable_weights] for layer in network.layers]


def _ordered(rows: Iterable[Sequence[Any]], names: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    for number, weights in enumerate(row for row in rows if row):
        listed = [names[id(_variable(v))] for v in weights if id(_variable(v)) in names]
        yield from ((name, f"{number}/{place}") for place, name in enumerate(listed))
