"""Where each variable of a network is, as checkpoints that name no variables would say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from redraw.checkpoint.objects.structure import variables_by_structure
from redraw.checkpoint.objects.trackable import VARIABLE_VALUE, ObjectGraph, ObjectNode, SavedTensor
from redraw.compat.keras import saved_places

__all__ = ["Places", "find_places"]


@dataclass(frozen=True, kw_only=True)
class Places:
    """The places of a network's variables.

    Attributes:
        by_structure: Name to places like `#3/kernel`: which layer with weights, and the
            attribute there (`redraw.checkpoint.objects.structure`).
        in_keras_files: Name to place in Keras 3's `.weights.h5`, like `layers/dense/vars/0`;
            none for what is no Keras model.
        trained: Names of what an optimizer trains, in Keras' order; none for what is no Keras
            model.
    """

    by_structure: Mapping[str, tuple[str, ...]]
    in_keras_files: Mapping[str, str]
    trained: tuple[str, ...]


def find_places(network: Any, variables: Mapping[str, Any]) -> Places:
    """Find the places of a network's variables.

    Args:
        network: A Keras model or a `tf.Module`; its variables may have no memory.
        variables: Name to `tf.Variable`, as `weights_by_name` gives them.

    Returns:
        Their places.
    """
    names = {id(variable): name for name, variable in variables.items()}
    by_structure: dict[str, list[str]] = {}
    for place, name in variables_by_structure(_live_graph(network, names), 0).items():
        by_structure.setdefault(name, []).append(place)
    known = isinstance(network, keras.Model)
    return Places(
        by_structure={name: tuple(places) for name, places in by_structure.items()},
        in_keras_files=_saved_places(network, names) if known else {},
        trained=tuple(variable.path for variable in network.trainable_variables) if known else (),
    )


def _live_graph(network: Any, names: Mapping[int, str]) -> ObjectGraph:
    view, numbers, objects = tf.train.TrackableView(network), {id(network): 0}, [network]
    nodes = []
    for item in objects:
        children = view.children(item)
        for child in children.values():
            if id(child) not in numbers:
                numbers[id(child)] = len(objects)
                objects.append(child)
        name = names.get(id(_variable(item)))
        tensors = () if name is None else (SavedTensor(VARIABLE_VALUE, name, name),)
        held = tuple((attribute, numbers[id(child)]) for attribute, child in children.items())
        nodes.append(ObjectNode(children=held, tensors=tensors, slot_variables=()))
    return ObjectGraph(nodes=tuple(nodes))


def _variable(item: Any) -> Any:
    return item.value if isinstance(item, keras.Variable) else item


def _saved_places(network: Any, names: Mapping[int, str]) -> dict[str, str]:
    return {names[key]: place for key, place in saved_places(network).items() if key in names}
