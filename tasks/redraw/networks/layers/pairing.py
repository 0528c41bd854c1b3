"""Which layers of a file and a definition belong together: by places, and by whose weights they have."""

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

# Where the order of what is called does not change an answer.
_COMMUTATIVE = {"Add", "Multiply", "Average", "Maximum", "Minimum", "operation Add", "operation Multiply"}
# What may follow the last layer with weights.
_ENDS = {*ACTIVATIONS, "Rescaling"}
_LINEAR = Function(name="linear")
# What takes its second input for a third that is not given.
_ATTENTION = {"Attention", "AdditiveAttention", "MultiHeadAttention", "GroupedQueryAttention"}
_QUERY_AND_VALUE = 2
# Before Keras 3 was released its layers lay below another name.
_EARLY_LAYERS = "_layer_checkpoint_dependencies"
# What Keras calls inputs that nobody named.
_AUTOMATIC = re.compile(r"input_layer(_\d+)?|input_\d+|keras_tensor(_\d+)?")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Whose weights layers have.

    Attributes:
        sources: Drawn layer's name to that of the file's layer whose weights it has.
        layers: Names that stand in those of the file's weights; None where nobody knows.
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    layers: frozenset[str] | None = None


def weights_from(served: Iterable[tuple[str, str]], source: CheckpointSource) -> Weights:
    """Find out whose weights layers have.

    Args:
        served: Each served variable, and the key of the checkpoint that it came from.
        source: The checkpoint.

    Returns:
        Those of layers that take all of one; none where the file names no variables.
    """
    names = {key: name for name, key in names_in(source)}
    found: dict[str, set[str]] = {}
    for variable, key in served:
        ours, theirs = _layer_of(variable), _layer_of(names.get(key, ""))
        if ours and theirs:
            found.setdefault(ours, set()).add(theirs)
    return Weights(
        sources={ours: next(iter(theirs)) for ours, theirs in found.items() if len(theirs) == 1},
        layers=frozenset(part for name in names.values() for part in name.split("/")) if names else None,
    )


def names_in(source: CheckpointSource) -> Iterator[tuple[str, str]]:
    """Every variable's own name in a checkpoint with an object graph, and its key.

    Keras 2 and early Keras 3 leave names out of archives: there the configuration says whose folder is whose.

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
            known = layer if unnamed and tensor.full_name == f"vars/{number}" else None
            yield f"{known}/{number}" if known else tensor.full_name, tensor.key


def _folders(model: Any, at: str) -> Iterator[tuple[str, str]]:
    """Each layer's folder in an archive, as Keras counts those of one class, and the layer's name."""
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
    """What layers of both models are known by, apart from what they do: an input, or whose weights they have.

    Args:
        described: What the file says.
        drawn: What the definition draws.
        weights: Whose weights layers have.
    """

    def __init__(self, described: Model, drawn: Model, weights: Weights) -> None:
        self.weights = weights
        self._sources, self._weighted = weights.sources, set(weights.sources.values())
        self._inputs = dict(_labelled_inputs(described.inputs, drawn.inputs))

    def theirs(self, layer: Layer) -> str:
        """A label of a layer of the file; empty where there is none."""
        return self._inputs.get(layer) or (layer.name if layer.name in self._weighted else "")

    def ours(self, layer: Layer) -> str:
        """A label of a layer that is drawn; empty where there is none."""
        return self._inputs.get(layer) or self._sources.get(layer.name, "")


def _labelled_inputs(theirs: Sequence[Layer], ours: Sequence[Layer]) -> Iterable[tuple[Layer, str]]:
    """The inputs by their names; where nobody gave them any, by their order."""
    if {layer.name for layer in theirs} == {layer.name for layer in ours}:
        return [(layer, f"input {layer.name}") for layer in (*theirs, *ours)]
    if len(theirs) == len(ours) and all(_AUTOMATIC.fullmatch(layer.name) for layer in (*theirs, *ours)):
        return [(layer, f"input {n}") for layers in (theirs, ours) for n, layer in enumerate(layers)]
    return []


def settled(layer: Layer) -> Layer:
    """The layer before those that do nothing.

    Args:
        layer: A layer.

    Returns:
        Itself, where it does something.
    """
    while len(layer.inputs) == 1 and _does_nothing(layer):
        layer = layer.inputs[0]
    return layer


def _does_nothing(layer: Layer) -> bool:
    function = layer.settings.get("activation")
    linear = layer.kind == "Activation" and isinstance(function, Function) and function.name == "linear"
    training = (layer.called_with or {}).get("training")
    return (layer.kind in PASSING and training is not True) or linear


def paired_inputs(theirs: Layer, ours: Layer, labels: Labels) -> tuple[list[tuple[Layer, Layer]], bool]:
    """Pair what two layers are called with.

    Args:
        theirs: The file's.
        ours: The definition's, of the same place.
        labels: What layers are known by.

    Returns:
        The pairs, and whether both have as many.
    """
    first, second = _complete(theirs), _complete(ours)
    if len(first) != len(second):
        return list(zip(first, second, strict=False)), False
    if theirs.kind in _COMMUTATIVE:
        # The one that has the same layers below it; of several, the first.
        marks = [(layer, _mark(layer, labels, drawn=True)) for layer in second]
        ordered = []
        for layer in first:
            mark = _mark(layer, labels, drawn=False)
            chosen = next((pair for pair in marks if pair[1] == mark), None)
            chosen = chosen or next((pair for pair in marks if _kinds(pair[1]) == _kinds(mark)), marks[0])
            marks.remove(chosen)
            ordered.append(chosen[0])
        second = ordered
    return list(zip(first, second, strict=True)), True


def _complete(layer: Layer) -> list[Layer]:
    inputs = list(layer.inputs)
    return [*inputs, inputs[1]] if layer.kind in _ATTENTION and len(inputs) == _QUERY_AND_VALUE else inputs


def _mark(layer: Layer, labels: Labels, *, drawn: bool) -> tuple[tuple[str, str], ...]:
    """Kinds and labels of the layers that lead to a layer, as far as there is one way."""
    marks = []
    while True:
        layer = settled(layer)
        marks.append((layer.kind, labels.ours(layer) if drawn else labels.theirs(layer)))
        if len(layer.inputs) != 1:
            return tuple(marks)
        layer = layer.inputs[0]


def _kinds(mark: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(kind for kind, _ in mark)


def paired_outputs(described: Model, drawn: Model, labels: Labels) -> Iterator[tuple[Layer, Layer]]:
    """What makes the outputs of both: by place, or by name if a definition serves a part of a model."""
    theirs, named = described.outputs, _by_own_name(described.layers)
    for number, layer in enumerate(drawn.outputs):
        place = (
            theirs[number] if len(theirs) == len(drawn.outputs) else theirs[0] if len(theirs) == 1 else None
        )
        label = "" if drawn.listed else labels.ours(settled(layer))
        place = next((item for item in theirs if label and labels.theirs(settled(item)) == label), place)
        same = named.get(settled(layer).name)
        if place is not None and (same is None or not _is_cut(settled(place), same, labels)):
            yield place, layer
        elif same is not None:
            yield same, layer


def _is_cut(place: Layer, same: Layer, labels: Labels) -> bool:
    """Whether a model goes on after one of its layers, with more than a function and what is not served."""
    while place is not same and place.kind in _ENDS and len(place.inputs) == 1:
        place = settled(place.inputs[0])
    if place is same or place.name == same.name or labels.theirs(place):
        return False
    return labels.weights.layers is None or any(
        layer.name in labels.weights.layers for layer in _between(place, same)
    )


def _between(place: Layer, same: Layer) -> Iterator[Layer]:
    """The layers that lead to a layer and do not lead to another one."""
    before, seen = set(_leading_to(same, set())), set[Layer]()
    return (layer for layer in _leading_to(place, seen) if layer not in before)


def _leading_to(layer: Layer, seen: set[Layer]) -> Iterator[Layer]:
    pending = [layer]
    while pending:
        layer = pending.pop()
        if layer not in seen:
            seen.add(layer)
            pending.extend(layer.inputs)
            yield layer


def paired_by_name(described: Model, drawn: Model) -> Iterator[tuple[Layer, Layer]]:
    """Pair layers of both models, of which one has unknown calls, by names that are their own."""
    theirs, ours = _by_own_name(described.layers), _by_own_name(drawn.layers)
    yield from ((theirs[name], ours[name]) for name in theirs.keys() & ours.keys())


def _by_own_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The layers whose names only they have and no counter gave: that of another model counts otherwise."""
    times = Counter(layer.name for layer in layers)
    return {layer.name: layer for layer in layers if times[layer.name] == 1 and not _is_counted(layer)}


def _is_counted(layer: Layer) -> bool:
    kind = with_ending(layer)[0].kind
    return re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind.replace("_", "").lower()


def with_ending(layer: Layer) -> tuple[Layer, Function]:
    """A layer, and the activation that it ends with, which `split_activation` made one of its own."""
    inner = layer.inputs[0] if len(layer.inputs) == 1 and layer.inputs[0].name == layer.name else None
    if inner is None:
        return layer, _LINEAR
    function = layer.settings["activation"]
    return inner, function if isinstance(function, Function) else _LINEAR
