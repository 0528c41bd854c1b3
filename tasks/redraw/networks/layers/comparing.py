"""Compare what a file says of its model's layers with those that a definition draws, layer by layer.

Layers belong together by their places: from the outputs back to the inputs, whatever their names
are. Names decide where the calls of one of the two are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redraw.networks.layers.composing import same_composition
from redraw.networks.layers.functions import ACTIVATIONS, layer_function, same_function
from redraw.networks.layers.layer import Function, Layer, Model
from redraw.networks.layers.pairing import (
    Labels,
    Weights,
    paired_by_name,
    paired_inputs,
    paired_outputs,
    settled,
    with_ending,
)
from redraw.networks.layers.settings import differing_settings, same_axes

_INPUT = "InputLayer"
_SHAPES = {"Flatten", "Reshape"}
_OPERATION = "operation "
# Operations that count axes in what they give, which has one more.
_ADDING = {"operation OneHot", "operation Stack", "operation ExpandDims"}
# Operations that Keras 2 has written in its own words.
_UNKNOWN = {"operation TFOpLambda", "operation SlicingOpLambda", "operation TensorFlowOpLayer"}
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
    described: Model,
    drawn: Model,
    vocabularies: Mapping[str, Sequence[Any]] | None = None,
    weights: Weights | None = None,
) -> Comparison:
    """Compare the layers that both have.

    Args:
        described: What the file says.
        drawn: What the definition draws.
        vocabularies: Layer's name to the words that the file keeps outside of its configuration.
        weights: Whose weights the drawn layers have.
    """
    labels = Labels(described, drawn, weights or Weights())
    walk = _Walk(vocabularies or {}, labels)
    if described.outputs and drawn.outputs:
        pairs = list(paired_outputs(described, drawn, labels))
        for pair in pairs:
            walk.follow(*pair)
        if drawn.listed:
            walk.compare_order(described.outputs, pairs)
    else:
        for theirs, ours in paired_by_name(described, drawn):
            walk.compare_whole(theirs, ours)
    if described.own and drawn.own and described.own.kind == drawn.own.kind:
        walk.compare(described.own, drawn.own)
    walk.result.problems[:] = dict.fromkeys(walk.result.problems)
    return walk.result


class _Walk:
    def __init__(self, vocabularies: Mapping[str, Sequence[Any]], labels: Labels) -> None:
        self.result = Comparison()
        self._vocabularies, self._labels = vocabularies, labels
        self._paired: dict[Layer, Layer] = {}
        self._seen: set[tuple[Layer, Layer]] = set()

    def follow(self, theirs: Layer, ours: Layer) -> None:
        """Compare two layers, and all that they are called with."""
        pending = [(theirs, ours)]
        while pending:
            pair = settled(pending[-1][0]), settled(pending.pop()[1])
            if pair not in self._seen:
                self._seen.add(pair)
                pending.extend(self._step(*pair))

    def compare_order(self, outputs: Sequence[Layer], pairs: Sequence[tuple[Layer, Layer]]) -> None:
        """Compare the order of outputs that both have."""
        paired = [settled(theirs) for theirs, _ in pairs]
        first = [settled(output) for output in outputs]
        if paired != first and set(paired) == set(first):
            names = (", ".join(repr(layer.name) for layer in layers) for layers in (first, paired))
            self._say("outputs, order: {} in the file, and {} in the definition".format(*names))

    def _step(self, theirs: Layer, ours: Layer) -> Sequence[tuple[Layer, Layer]]:
        if theirs.kind == ours.kind == _INPUT:
            self._compare_inputs(theirs, ours)
            return ()
        if theirs.kind != ours.kind and (sources := same_composition(theirs, ours)):
            self.result.compared += 1
            return [sources]
        if _alike(theirs, ours):
            self.compare(theirs, ours)
            self._compare_calls(theirs, ours)
            return self._inputs_of(theirs, ours)
        if _crossed(theirs, ours):
            first, second = settled(theirs.inputs[0]), settled(ours.inputs[0])
            self._say(f"{first} comes before {theirs} in the file, and after it in the definition")
            return [(first.inputs[0], second.inputs[0])] if first.inputs and second.inputs else ()
        for extra, other, whose in ((theirs, ours, "the file"), (ours, theirs, "the definition")):
            for passed, inner in _passed(extra):
                if _alike(inner, other):
                    self._say(f"{', '.join(map(str, passed))}: only {whose} has it, before {_next_to(other)}")
                    return [(inner, ours) if extra is theirs else (theirs, inner)]
        if _INPUT not in (theirs.kind, ours.kind):
            self._say(f"{theirs.name!r} is {theirs.kind} in the file, and {ours} in the definition")
            return paired_inputs(theirs, ours, self._labels)[0]
        extra, whose = (theirs, "the file") if ours.kind == _INPUT else (ours, "the definition")
        self._say(f"{extra}: only {whose} has it, first of all")
        return ()

    def _inputs_of(self, theirs: Layer, ours: Layer) -> Sequence[tuple[Layer, Layer]]:
        pairs, complete = paired_inputs(theirs, ours, self._labels)
        if not complete and _comparable(theirs, ours):
            self._say(
                f"{theirs}: called with {len(theirs.inputs)} tensors in the file, and with {len(ours.inputs)}"
                " in the definition"
            )
        return pairs

    def _compare_inputs(self, theirs: Layer, ours: Layer) -> None:
        """Compare inputs: each stands for one other."""
        a, b = self._labels.theirs(theirs), self._labels.ours(ours)
        before = self._paired.setdefault(theirs, ours), self._paired.setdefault(ours, theirs)
        if (a and b and a != b) or before != (ours, theirs):
            self._say(f"{theirs}: the definition reads {ours.name!r} where the file reads this input")

    def _compare_calls(self, theirs: Layer, ours: Layer) -> None:
        """Compare the keywords of two calls, and whose weights the layers have."""
        named, source = self._labels.theirs(theirs), self._labels.ours(ours)
        if named and source and named != source:
            self._say(f"{theirs}: in its place the definition has {ours}, with the weights of {source!r}")
        if (
            None in (theirs.called_with, ours.called_with)
            or theirs.kind.startswith(_OPERATION)
            or not _comparable(theirs, ours)
        ):
            return
        first, second = theirs.called_with or {}, ours.called_with or {}
        for key in sorted({*first, *second}):
            a, b = first.get(key), second.get(key)
            if a != b:
                self._differs(theirs, f"called with {key}", a, b)

    def compare_whole(self, theirs: Layer, ours: Layer) -> None:
        """Compare two layers together with the activations that they end with."""
        (first, a), (second, b) = with_ending(theirs), with_ending(ours)
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
            elif not same_axes(_softmax_axis(theirs), _softmax_axis(ours), ours.rank):
                self._differs(theirs, "axis", _softmax_axis(theirs), _softmax_axis(ours))
            return
        rank = ours.rank + (ours.kind in _ADDING) if ours.rank is not None else None
        for key, a, b in differing_settings(theirs.kind, theirs.settings, ours.settings, rank):
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


def _alike(theirs: Layer, ours: Layer) -> bool:
    """Whether two layers may be the same one."""
    kinds = {theirs.kind, ours.kind}
    if _INPUT in kinds:
        return len(kinds) == 1
    return len(kinds) == 1 or kinds <= ACTIVATIONS or kinds <= _SHAPES or not _comparable(theirs, ours)


def _softmax_axis(layer: Layer) -> Any:
    """Of a layer that is a function the axis, which all but Softmax have last."""
    axis = layer.settings.get("axis") if layer.kind == "Softmax" else None
    return -1 if axis is None else axis


def _comparable(theirs: Layer, ours: Layer) -> bool:
    """Whether it is known what both do: an operation of another version, or of a function, is not."""
    kinds = {theirs.kind, ours.kind}
    operations = [kind.startswith(_OPERATION) for kind in (theirs.kind, ours.kind)]
    if all(operations) or not any(operations):
        return not kinds & _UNKNOWN and (len(kinds) == 1 or not kinds <= _SHAPES)
    return False


def _crossed(theirs: Layer, ours: Layer) -> bool:
    """Whether a layer and the one before it have changed places."""
    if len(theirs.inputs) != 1 or len(ours.inputs) != 1:
        return False
    first, second = settled(theirs.inputs[0]), settled(ours.inputs[0])
    return theirs.kind == second.kind and ours.kind == first.kind


def _passed(layer: Layer) -> Iterator[tuple[list[Layer], Layer]]:
    """The layers that are looked past, and the one behind them."""
    passed: list[Layer] = []
    while len(passed) < _FURTHEST and len(layer.inputs) == 1 and layer.kind != _INPUT:
        passed.append(layer)
        layer = settled(layer.inputs[0])
        yield passed, layer


def _next_to(layer: Layer) -> str:
    return "all others" if layer.kind == _INPUT else f"what follows {layer}"


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
