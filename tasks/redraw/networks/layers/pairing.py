"""Pair the layers of a file and a definition, by their places and by the sources of their weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.compat.keras import container_name
from redraw.networks.layers.functions import ACTIVATIONS
from redraw.networks.layers.layer import PASSING, Function, Layer, Model

# Layers whose result does not depend on the order of their inputs.
_COMMUTATIVE = {"Add", "Multiply", "Average", "Maximum", "Minimum", "operation Add", "operation Multiply"}
# Layers that may follow the last layer with weights.
_ENDS = {*ACTIVATIONS, "Rescaling"}
_LINEAR = Function(name="linear")
# Layers that use their second input as the third if that is missing.
_ATTENTION = {"Attention", "AdditiveAttention", "MultiHeadAttention", "GroupedQueryAttention"}
_QUERY_AND_VALUE = 2
# The group of the layers before Keras 3 was released.
_EARLY_LAYERS = "_layer_checkpoint_dependencies"
# Keras' names of unnamed inputs.
_AUTOMATIC = re.compile(r"input_layer(_\d+)?|input_\d+|keras_tensor(_\d+)?")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The sources of layers' weights.

    Attributes:
        sources: Defined layer's name to the name of the file's layer whose weights it has.
        layers: The parts of the names of the file's weights; None if they are unknown.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    layers: frozenset[str] | None = None


def weights_from(served: Iterable[tuple[str, str]], source: CheckpointSource) -> Weights:
    """Find the sources of layers' weights.

    Args:
        served: Each served variable, and its key in the checkpoint.
        source: The checkpoint.

    Returns:
        The sources of layers that take all weights from one layer; empty if the file names no variables.
    """
    names = {key: name for name, key in names_in(source)}
    sources: dict[str, set[str]] = {}
    for variable, key in served:
        built, saved = _layer_of(variable), _layer_of(names.get(key, ""))
        if built and saved:
            sources.setdefault(built, set()).add(saved)
    return Weights(
        sources={built: next(iter(saved)) for built, saved in sources.items() if len(saved) == 1},
        layers=frozenset(part for name in names.values() for part in name.split("/")) if names else None,
    )


def names_in(source: CheckpointSource) -> Iterator[tuple[str, str]]:
    """The own name and the key of every variable in a checkpoint with an object graph.

    Keras 2 and early Keras 3 omit names in archives; there the configuration gives each folder's layer.

    Args:
        source: The checkpoint.

    Yields:
        Name and key.
    """
    named = dict(_folders(getattr(source, "config", None), "layers"))
    for node in source.graph.nodes if source.graph is not None else ():
        for tensor in node.variables():
            folder, unnamed, number = tensor.key.partition("/vars/")
            layer = named.get(folder.replace(_EARLY_LAYERS, "layers"))
            named_layer = layer if unnamed and tensor.full_name == f"vars/{number}" else None
            yield f"{named_layer}/{number}" if named_layer else tensor.full_name, tensor.key


def _folders(model: Any, at: str) -> Iterator[tuple[str, str]]:
    """Each layer's folder in an archive, which Keras numbers by class, and the layer's name."""
    inner = model.get("config") if isinstance(model, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    used: dict[str, int] = {}
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict):
            folder = f"{at}/{container_name(str(layer.get('class_name')), used)}"
            yield folder, str(layer["config"].get("name"))
            yield from _folders(layer, f"{folder}/layers")


def _layer_of(variable: str) -> str:
    return variable.rpartition("/")[0].rpartition("/")[2]


class Labels:
    """Labels of layers of both models: an input's name, or the source of their weights.

    Args:
        saved_model: The model in the file.
        built_model: The model that the definition builds.
        weights: The sources of the layers' weights.
    """

    def __init__(self, saved_model: Model, built_model: Model, weights: Weights) -> None:
        self.weights = weights
        self._sources, self._weighted = weights.sources, set(weights.sources.values())
        self._inputs = dict(_labelled_inputs(saved_model.inputs, built_model.inputs))

    def of_file(self, layer: Layer) -> str:
        """The label of a layer of the file; empty if there is none."""
        return self._inputs.get(layer) or (layer.name if layer.name in self._weighted else "")

    def of_definition(self, layer: Layer) -> str:
        """The label of a layer of the definition; empty if there is none."""
        return self._inputs.get(layer) or self._sources.get(layer.name, "")


def _labelled_inputs(saved: Sequence[Layer], built: Sequence[Layer]) -> Iterable[tuple[Layer, str]]:
    """Label inputs by their names or, if these are automatic, by their order."""
    if {layer.name for layer in saved} == {layer.name for layer in built}:
        return [(layer, f"input {layer.name}") for layer in (*saved, *built)]
    if len(saved) == len(built) and all(_AUTOMATIC.fullmatch(layer.name) for layer in (*saved, *built)):
        return [(layer, f"input {n}") for layers in (saved, built) for n, layer in enumerate(layers)]
    return []


def active_layer(layer: Layer) -> Layer:
    """Skip layers that do nothing.

    Args:
        layer: A layer.

    Returns:
        The first layer, from this one towards the inputs, that does something.
    """
    while len(layer.inputs) == 1 and _does_nothing(layer):
        layer = layer.inputs[0]
    return layer


def _does_nothing(layer: Layer) -> bool:
    function = layer.settings.get("activation")
    linear = layer.kind == "Activation" and isinstance(function, Function) and function.name == "linear"
    training = (layer.called_with or {}).get("training")
    return (layer.kind in PASSING and training is not True) or linear


def paired_inputs(saved: Layer, built: Layer, labels: Labels) -> tuple[list[tuple[Layer, Layer]], bool]:
    """Pair the inputs of two layers.

    Args:
        saved: The layer in the file.
        built: The definition's layer at the same place.
        labels: The layers' labels.

    Returns:
        The pairs, and whether both have the same number of inputs.
    """
    first, second = _complete(saved), _complete(built)
    if len(first) != len(second):
        return list(zip(first, second, strict=False)), False
    if saved.kind in _COMMUTATIVE:
        # Choose the first one that has the same layers before it.
        marks = [(layer, _mark(layer, labels, defined=True)) for layer in second]
        ordered = []
        for layer in first:
            mark = _mark(layer, labels, defined=False)
            chosen = next((pair for pair in marks if pair[1] == mark), None)
            chosen = chosen or next((pair for pair in marks if _kinds(pair[1]) == _kinds(mark)), marks[0])
            marks.remove(chosen)
            ordered.append(chosen[0])
        second = ordered
    return list(zip(first, second, strict=True)), True


def _complete(layer: Layer) -> list[Layer]:
    inputs = list(layer.inputs)
    return [*inputs, inputs[1]] if layer.kind in _ATTENTION and len(inputs) == _QUERY_AND_VALUE else inputs


def _mark(layer: Layer, labels: Labels, *, defined: bool) -> tuple[tuple[str, str], ...]:
    """Kinds and labels of the layers before a layer, up to one with several inputs."""
    marks = []
    while True:
        layer = active_layer(layer)
        marks.append((layer.kind, labels.of_definition(layer) if defined else labels.of_file(layer)))
        if len(layer.inputs) != 1:
            return tuple(marks)
        layer = layer.inputs[0]


def _kinds(mark: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(kind for kind, _ in mark)


def paired_outputs(saved_model: Model, built_model: Model, labels: Labels) -> Iterator[tuple[Layer, Layer]]:
    """Pair the layers of the outputs: by place, or by name if a definition serves a part of a model."""
    saved, named = saved_model.outputs, _by_own_name(saved_model.layers)
    for number, layer in enumerate(built_model.outputs):
        place = (
            saved[number] if len(saved) == len(built_model.outputs) else saved[0] if len(saved) == 1 else None
        )
        label = "" if built_model.listed else labels.of_definition(active_layer(layer))
        place = next((item for item in saved if label and labels.of_file(active_layer(item)) == label), place)
        same = named.get(active_layer(layer).name)
        if place is not None and (same is None or not _is_cut(active_layer(place), same, labels)):
            yield place, layer
        elif same is not None:
            yield same, layer


def _is_cut(place: Layer, same: Layer, labels: Labels) -> bool:
    """Whether a model continues after one of its layers, with served layers that have weights."""
    while place is not same and place.kind in _ENDS and len(place.inputs) == 1:
        place = active_layer(place.inputs[0])
    if place is same or place.name == same.name or labels.of_file(place):
        return False
    return labels.weights.layers is None or any(
        layer.name in labels.weights.layers for layer in _between(place, same)
    )


def _between(place: Layer, same: Layer) -> Iterator[Layer]:
    """The layers before a layer that are not before another one."""
    before, visited = set(_leading_to(same, set())), set[Layer]()
    return (layer for layer in _leading_to(place, visited) if layer not in before)


def _leading_to(layer: Layer, visited: set[Layer]) -> Iterator[Layer]:
    pending = [layer]
    while pending:
        layer = pending.pop()
        if layer not in visited:
            visited.add(layer)
            pending.extend(layer.inputs)
            yield layer


def paired_by_name(saved_model: Model, built_model: Model) -> Iterator[tuple[Layer, Layer]]:
    """Pair layers by unique names, for models of which one has unknown calls."""
    saved, built = _by_own_name(saved_model.layers), _by_own_name(built_model.layers)
    yield from ((saved[name], built[name]) for name in saved.keys() & built.keys())


def _by_own_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The layers with unique names that no counter made: counters differ between models."""
    times = Counter(layer.name for layer in layers)
    return {layer.name: layer for layer in layers if times[layer.name] == 1 and not _is_counted(layer)}


def _is_counted(layer: Layer) -> bool:
    kind = with_ending(layer)[0].kind
    return re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind.replace("_", "").lower()


def with_ending(layer: Layer) -> tuple[Layer, Function]:
    """A layer, and its activation that `split_activation` made a layer of its own."""
    inner = layer.inputs[0] if len(layer.inputs) == 1 and layer.inputs[0].name == layer.name else None
    if inner is None:
        return layer, _LINEAR
    function = layer.settings["activation"]
    return inner, function if isinstance(function, Function) else _LINEAR
