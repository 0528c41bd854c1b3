"""Compare what a file says of its model's layers with those that a definition draws, layer by layer.

Layers belong together by their places: from the outputs back to the inputs, whatever their names
are. Names decide where the calls of one of the two are not known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redraw.networks.layers.functions import ACTIVATIONS, layer_function, same_function
from redraw.networks.layers.layer import PASSING, Function, Layer, Model
from redraw.networks.layers.settings import differing_settings

__all__ = ["Comparison", "compare_models"]

_INPUT = "InputLayer"
# Where the order of what is called does not change an answer.
_COMMUTATIVE = {"Add", "Multiply", "Average", "Maximum", "Minimum", "operation Add", "operation Multiply"}
_SHAPES = {"Flatten", "Reshape"}
# What may follow the last layer with weights.
_ENDS = {*ACTIVATIONS, "Rescaling"}
_LINEAR = Function(name="linear")
# How far a layer that only one of both has is looked past.
_FURTHEST = 3
_MOST_WORDS = 3


@dataclass(kw_only=True)
class Comparison:
    """What came of it.

    Attributes:
        compared: How many layers both have.
        problems: What differs and changes an answer, each naming layer, setting and both values.
        uncertain: Layers of the file that could not be compared.
    """

    compared: int = 0
    problems: list[str] = field(default_factory=list)
    uncertain: list[str] = field(default_factory=list)


def compare_models(
    described: Model, drawn: Model, vocabularies: Mapping[str, Sequence[Any]] | None = None
) -> Comparison:
    """Compare the layers that both have.

    Args:
        described: What the file says.
        drawn: What the definition draws.
        vocabularies: Layer's name to the words that the file keeps outside of its configuration.
    """
    walk = _Walk(vocabularies or {})
    if described.outputs and drawn.outputs:
        for pair in _paired_outputs(described, drawn):
            walk.follow(*pair)
    else:
        for theirs, ours in _paired_by_name(described, drawn):
            walk.compare_whole(theirs, ours)
    walk.result.problems[:] = dict.fromkeys(walk.result.problems)
    return walk.result


class _Walk:
    def __init__(self, vocabularies: Mapping[str, Sequence[Any]]) -> None:
        self.result = Comparison()
        self._vocabularies = vocabularies
        self._seen: set[tuple[Layer, Layer]] = set()

    def follow(self, theirs: Layer, ours: Layer) -> None:
        """Compare two layers, and all that they are called with."""
        pending = [(theirs, ours)]
        while pending:
            pair = _settled(pending[-1][0]), _settled(pending.pop()[1])
            if pair not in self._seen:
                self._seen.add(pair)
                pending.extend(self._step(*pair))

    def _step(self, theirs: Layer, ours: Layer) -> Sequence[tuple[Layer, Layer]]:
        if theirs.kind == ours.kind == _INPUT:
            return ()
        if _alike(theirs, ours):
            self.compare(theirs, ours)
            return _paired_inputs(theirs, ours)
        if _crossed(theirs, ours):
            first, second = _settled(theirs.inputs[0]), _settled(ours.inputs[0])
            self._say(f"{first} comes before {theirs} in the file, and after it in the definition")
            return [(first.inputs[0], second.inputs[0])] if first.inputs and second.inputs else ()
        for extra, other, whose in ((theirs, ours, "the file"), (ours, theirs, "the definition")):
            for passed, inner in _passed(extra):
                if _alike(inner, other):
                    self._say(f"{', '.join(map(str, passed))}: only {whose} has it, before {_next_to(other)}")
                    return [(inner, ours) if extra is theirs else (theirs, inner)]
        if _INPUT not in (theirs.kind, ours.kind):
            self._say(f"{theirs.name!r} is {theirs.kind} in the file, and {ours} in the definition")
            return _paired_inputs(theirs, ours)
        extra, whose = (theirs, "the file") if ours.kind == _INPUT else (ours, "the definition")
        self._say(f"{extra}: only {whose} has it, first of all")
        return ()

    def compare_whole(self, theirs: Layer, ours: Layer) -> None:
        """Compare two layers together with the activations that they end with."""
        (first, a), (second, b) = _with_ending(theirs), _with_ending(ours)
        if _alike(first, second):
            self.compare(first, second)
            if not same_function(b, a):
                self._differs(first, "activation", a, b)

    def compare(self, theirs: Layer, ours: Layer) -> None:
        """Compare what two layers of one place were made with."""
        if theirs.kind == _INPUT:
            return
        if not _comparable(theirs, ours):
            self.result.uncertain.append(str(theirs))
            return
        self.result.compared += 1
        if theirs.kind in ACTIVATIONS:
            a, b = (layer_function(layer.kind, layer.settings) for layer in (theirs, ours))
            if not same_function(a, b):
                self._differs(theirs, "activation", a, b)
            return
        for key, a, b in differing_settings(theirs.kind, theirs.settings, ours.settings):
            self._differs(theirs, key, a, b)
        self._compare_words(theirs, ours)

    def _compare_words(self, theirs: Layer, ours: Layer) -> None:
        words = self._vocabularies.get(theirs.name, theirs.settings.get("vocabulary"))
        drawn = ours.settings.get("vocabulary")
        if isinstance(words, list | tuple) and isinstance(drawn, list):
            a, b = _words(words, ours.settings), _words(drawn, ours.settings)
            if a != b:
                self._differs(theirs, "vocabulary", _difference(a, b), _difference(b, a))

    def _differs(self, theirs: Layer, key: str, a: Any, b: Any) -> None:
        a, b = (value.name if isinstance(value, Function) else value for value in (a, b))
        self._say(f"{theirs}, {key}: {a!r:.120} in the file, and {b!r:.120} in the definition")

    def _say(self, problem: str) -> None:
        self.result.problems.append(f"layer {problem}")


def _settled(layer: Layer) -> Layer:
    """The layer before those that do nothing."""
    while len(layer.inputs) == 1 and _does_nothing(layer):
        layer = layer.inputs[0]
    return layer


def _does_nothing(layer: Layer) -> bool:
    function = layer.settings.get("activation")
    linear = layer.kind == "Activation" and isinstance(function, Function) and function.name == "linear"
    return layer.kind in PASSING or linear


def _alike(theirs: Layer, ours: Layer) -> bool:
    """Whether two layers may be the same one."""
    kinds = {theirs.kind, ours.kind}
    if _INPUT in kinds:
        return len(kinds) == 1
    return len(kinds) == 1 or kinds <= ACTIVATIONS or kinds <= _SHAPES or not _comparable(theirs, ours)


def _comparable(theirs: Layer, ours: Layer) -> bool:
    """Whether it is known what both do: an operation of another version, or of a function, is not."""
    if theirs.kind == ours.kind:
        return not theirs.kind.startswith("operation ") or "SlicingOpLambda" not in theirs.kind
    return not any(layer.kind.startswith("operation ") for layer in (theirs, ours)) and (
        not {theirs.kind, ours.kind} <= _SHAPES
    )


def _crossed(theirs: Layer, ours: Layer) -> bool:
    """Whether a layer and the one before it have changed places."""
    if len(theirs.inputs) != 1 or len(ours.inputs) != 1:
        return False
    first, second = _settled(theirs.inputs[0]), _settled(ours.inputs[0])
    return theirs.kind == second.kind and ours.kind == first.kind


def _passed(layer: Layer) -> Iterator[tuple[list[Layer], Layer]]:
    """The layers that are looked past, and the one behind them."""
    passed: list[Layer] = []
    while len(passed) < _FURTHEST and len(layer.inputs) == 1 and layer.kind != _INPUT:
        passed.append(layer)
        layer = _settled(layer.inputs[0])
        yield passed, layer


def _next_to(layer: Layer) -> str:
    return "all others" if layer.kind == _INPUT else f"what follows {layer}"


def _paired_inputs(theirs: Layer, ours: Layer) -> list[tuple[Layer, Layer]]:
    first, second = list(theirs.inputs), list(ours.inputs)
    if len(first) != len(second):  # such as initial states, which one of them may be given by default
        return list(zip(first, second, strict=False))
    if theirs.kind in _COMMUTATIVE:
        # The one that has the same layers below it; of several, the first.
        marks = [(layer, _mark(layer)) for layer in second]
        ordered = []
        for layer in first:
            mark = _mark(layer)
            chosen = next((pair for pair in marks if pair[1] == mark), marks[0])
            marks.remove(chosen)
            ordered.append(chosen[0])
        second = ordered
    return list(zip(first, second, strict=True))


def _mark(layer: Layer) -> tuple[str, ...]:
    """The kinds of the layers that lead to a layer, as far as there is one way."""
    kinds = []
    layer = _settled(layer)
    while len(layer.inputs) == 1:
        kinds.append(layer.kind)
        layer = _settled(layer.inputs[0])
    return (*kinds, layer.kind)


def _paired_outputs(described: Model, drawn: Model) -> Iterator[tuple[Layer, Layer]]:
    """What makes the outputs of both: by place, or by name if a definition serves a part of a model."""
    theirs, named = described.outputs, _by_own_name(described.layers)
    for number, layer in enumerate(drawn.outputs):
        place = (
            theirs[number] if len(theirs) == len(drawn.outputs) else theirs[0] if len(theirs) == 1 else None
        )
        same = named.get(_settled(layer).name)
        if place is not None and (same is None or not _is_cut(_settled(place), same)):
            yield place, layer
        elif same is not None:
            yield same, layer


def _is_cut(place: Layer, same: Layer) -> bool:
    """Whether a model goes on after one of its layers, with more than a function of what that gives."""
    while place is not same and place.kind in _ENDS and len(place.inputs) == 1:
        place = _settled(place.inputs[0])
    return place is not same and place.name != same.name


def _paired_by_name(described: Model, drawn: Model) -> Iterator[tuple[Layer, Layer]]:
    theirs, ours = _by_own_name(described.layers), _by_own_name(drawn.layers)
    yield from ((theirs[name], ours[name]) for name in theirs.keys() & ours.keys())


def _by_own_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The layers whose names only they have and no counter gave: that of another model counts otherwise."""
    times = Counter(layer.name for layer in layers)
    return {layer.name: layer for layer in layers if times[layer.name] == 1 and not _is_counted(layer)}


def _is_counted(layer: Layer) -> bool:
    kind = _with_ending(layer)[0].kind
    return re.sub(r"_\d+$", "", layer.name).replace("_", "") == kind.replace("_", "").lower()


def _with_ending(layer: Layer) -> tuple[Layer, Function]:
    """A layer, and the activation that it ends with, which `split_activation` made one of its own."""
    inner = layer.inputs[0] if len(layer.inputs) == 1 and layer.inputs[0].name == layer.name else None
    if inner is None:
        return layer, _LINEAR
    function = layer.settings["activation"]
    return inner, function if isinstance(function, Function) else _LINEAR


def _words(words: Sequence[Any], settings: Mapping[str, Any]) -> list[str]:
    """A vocabulary without what stands for no word, which not every way of saving keeps."""
    special = {str(settings.get("mask_token", "")), str(settings.get("oov_token", "[UNK]")), "", "[UNK]"}
    found = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
    first = next((number for number, word in enumerate(found) if word not in special), len(found))
    return found[first:]


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    place = next((n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return f"{len(ours)} words"
    shown = ", ".join(ours[place : place + _MOST_WORDS])
    return f"{len(ours)} words, number {place} and on {shown}"
