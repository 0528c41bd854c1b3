"""Build an object graph like that of a `tf.train.Checkpoint` for Keras' HDF5 files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from redraw.checkpoint.formats.hdf5_objects import text_attribute, text_list
from redraw.checkpoint.objects.trackable import VARIABLE_VALUE, ObjectGraph, ObjectNode, SavedTensor

_MODEL, _OPTIMIZER = "model", "optimizer"
_AVERAGES = "_model_variables_moving_average"
# The group of the layers before Keras 3 was released.
_EARLY_LAYERS = "_layer_checkpoint_dependencies"
# Earlier versions of Keras 3 left the layers' names out.
_UNNAMED = "vars"
# The group of a model's own weights, which belong to no layer.
_OWN = "top_level_model_weights"
_MODEL_GROUP, _OPTIMIZER_GROUP = "model_weights", "optimizer_weights"
# The average of dense/kernel is `SGD/average/dense/kernel` in Keras 2 and
# `sgd/dense_kernel_average` in Keras 3.
_AVERAGE_NAME = re.compile(r"([^/]+/)?average/.+|([^/]+/)?[^/]+_average")

Path = tuple[str, ...]


def graph_of_keras_3(file: Any, keys: Sequence[str]) -> ObjectGraph:
    """The groups of a `.weights.h5` as objects below `model`.

    Args:
        file: The open file.
        keys: The paths of its datasets: `layers/dense/vars/0`.

    Returns:
        The graph; a variable's name is its layer's name and its number there.
    """
    tensors: dict[Path, SavedTensor] = {}
    for key in keys:
        group, _, number = key.rpartition("/")
        layer = text_attribute(file[group], "name", _UNNAMED) if group else _UNNAMED
        path = ["layers" if part == _EARLY_LAYERS else part for part in key.split("/")]
        tensors[_MODEL, *path] = SavedTensor(VARIABLE_VALUE, f"{layer}/{number}", key)
    return _graph(tensors)


def graph_of_keras_2(file: Any, keys: Sequence[str]) -> ObjectGraph:
    """The layers of a Keras 2 file as objects below `model`, its optimizer's variables below `optimizer`.

    Args:
        file: The open file.
        keys: The paths of its datasets: `dense/dense/kernel:0`.

    Returns:
        The graph; a variable's name is the one its layer lists: `dense/kernel`.
    """
    tensors: dict[Path, SavedTensor] = {}
    weights = f"{_MODEL_GROUP}/" if _MODEL_GROUP in file else ""
    for key in keys:
        if key.startswith(f"{_OPTIMIZER_GROUP}/"):
            name = _plain(key.removeprefix(f"{_OPTIMIZER_GROUP}/"))
            attribute = _AVERAGES if _AVERAGE_NAME.fullmatch(name) else "variables"
            tensors[_OPTIMIZER, attribute, name] = SavedTensor(VARIABLE_VALUE, name, key)
            continue
        layer, _, name = key.removeprefix(weights).partition("/")
        tensors[_MODEL, layer, _plain(name)] = SavedTensor(VARIABLE_VALUE, _plain(name), key)
    return _graph(tensors)


def order_of_keras_2(file: Any) -> tuple[tuple[str, ...], ...]:
    """The keys of each layer's weights, in the order in which Keras 2 loads them.

    Returns:
        A row for each layer that has weights.
    """
    root = file.get(_MODEL_GROUP, file)
    prefix = f"{_MODEL_GROUP}/" if _MODEL_GROUP in file else ""
    rows = (
        tuple(f"{prefix}{layer}/{name}" for name in _names_in_attribute(root[layer], "weight_names"))
        for layer in (*_names_in_attribute(root, "layer_names"), _OWN)
        if layer in root
    )
    return tuple(row for row in rows if row)


def _names_in_attribute(group: Any, name: str) -> list[str]:
    """Names in an attribute, which may be split into several numbered ones."""
    parts = [name] if name in group.attrs else [f"{name}{n}" for n in range(len(group.attrs))]
    return [text for part in parts for text in text_list(group, part)]


def _plain(name: str) -> str:
    """A variable's name without the output number that Keras 2 appends."""
    return re.sub(r":\d+$", "", name)


def _graph(tensors: dict[Path, SavedTensor]) -> ObjectGraph:
    children: dict[Path, dict[str, Path]] = {(): {}}
    for path in tensors:
        for inner in _prefixes(path):
            children.setdefault(inner, {})
            children[inner[:-1]][inner[-1]] = inner
    numbers = {path: number for number, path in enumerate(children)}
    nodes = (
        ObjectNode(
            children=tuple((name, numbers[target]) for name, target in attributes.items()),
            tensors=(tensors[path],) if path in tensors else (),
            slot_variables=(),
        )
        for path, attributes in children.items()
    )
    return ObjectGraph(nodes=tuple(nodes))


def _prefixes(path: Path) -> Iterator[Path]:
    yield from (path[:length] for length in range(1, len(path) + 1))
