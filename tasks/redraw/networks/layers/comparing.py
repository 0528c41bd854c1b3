"""Compare the layers that a file describes with those that a definition builds.

Layers are paired by their places, from the outputs back to the inputs, whatever their names are.
Names decide if the calls of one of the two are not known.
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
    active_layer,
    paired_by_name,
    paired_inputs,
    paired_outputs,
    with_ending,
)
from redraw.networks.layers.settings import differing_settings, same_axes

_INPUT = "InputLayer"
_SHAPES = {"Flatten", "Reshape"}
_OPERATION = "operation "
# Operations whose axes count in the output, which has one more dimension.
_ADDING = {"operation OneHot", "operation Stack", "operation ExpandDims"}
# Operations in the form of Keras 2.
_UNKNOWN = {"operation TFOpLambda", "operation SlicingOpLambda", "operation TensorFlowOpLayer"}
# How many layers that only one of both has are skipped.
_FURTHEST = 3
_MOST_WORDS = 3


@dataclass(kw_only=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        compared: The number of layers that both have.
        problems: Differences that change an answer; each names layer, setting and both values.
        uncertain: Layers of the file that could not be compared.
    """

    compared: int = 0
    problems: list[str] = field(default_factory=list)
    uncertain: list[str] = field(default_factory=list)


def compare_models(
    saved_model: Model,
    built_model: Model,
    vocabularies: Mapping[str, Sequence[Any]] | None = None,
    weights: Weights | None = None,
) -> Comparison:
    """Compare the layers that both have.

    Args:
        saved_model: The model in the file.
        built_model: The model that the definition builds.
        vocabularies: Layer's name to its words, if the file keeps them outside of the configuration.
        weights: The sources of the defined layers' weights.
    """
    labels = Labels(saved_model, built_model, weights or Weights())
    walk = _Walk(vocabularies or {}, labels)
    if saved_model.outputs and built_model.outputs:
        pairs = list(paired_outputs(saved_model, built_model, labels))
        for pair in pairs:
            walk.follow(*pair)
        if built_model.listed:
            walk.compare_order(saved_model.outputs, pairs)
    else:
        for saved, built in paired_by_name(saved_model, built_model):
            walk.compare_with_activation(saved, built)
    if saved_model.own and built_model.own and saved_model.own.kind == built_model.own.kind:
        walk.compare(saved_model.own, built_model.own)
    walk.result.problems[:] = dict.fromkeys(walk.result.problems)
    return walk.result


class _Walk:
    def __init__(self, vocabularies: Mapping[str, Sequence[Any]], labels: Labels) -> None:
        self.result = Comparison()
        self._vocabularies, self._labels = vocabularies, labels
        self._paired: dict[Layer, Layer] = {}
        self._visited: set[tuple[Layer, Layer]] = set()

    def follow(self, saved: Layer, built: Layer) -> None:
        """Compare two layers, and all layers before them."""
        pending = [(saved, built)]
        while pending:
            pair = active_layer(pending[-1][0]), active_layer(pending.pop()[1])
            if pair not in self._visited:
                self._visited.add(pair)
                pending.extend(self._step(*pair))

    def compare_order(self, outputs: Sequence[Layer], pairs: Sequence[tuple[Layer, Layer]]) -> None:
        """Compare the order of outputs that both have."""
        paired = [active_layer(saved) for saved, _ in pairs]
        first = [active_layer(output) for output in outputs]
        if paired != first and set(paired) == set(first):
            names = (", ".join(repr(layer.name) for layer in layers) for layers in (first, paired))
            self._report("outputs: their order is {} in the file, and {} in the definition".format(*names))

    def _step(self, saved: Layer, built: Layer) -> Sequence[tuple[Layer, Layer]]:
        if saved.kind == built.kind == _INPUT:
            self._compare_inputs(saved, built)
            return ()
        if saved.kind != built.kind and (sources := same_composition(saved, built)):
            self.result.compared += 1
            return [sources]
        if _may_be_same(saved, built):
            self.compare(saved, built)
            self._compare_calls(saved, built)
            return self._inputs_of(saved, built)
        if _are_swapped(saved, built):
            first, second = active_layer(saved.inputs[0]), active_layer(built.inputs[0])
            self._report(f"{first} comes before {saved} in the file, and after it in the definition")
            return [(first.inputs[0], second.inputs[0])] if first.inputs and second.inputs else ()
        for extra, other, whose in (
            (saved, built, "the file"),
            (built, saved, "the definition"),
        ):
            for passed, inner in _layers_before(extra):
                if _may_be_same(inner, other):
                    self._report(
                        f"{', '.join(map(str, passed))}: only {whose} has this layer, before"
                        f" {_followed_by(other)}"
                    )
                    return [(inner, built) if extra is saved else (saved, inner)]
        if _INPUT not in (saved.kind, built.kind):
            self._report(f"{saved.name!r} is {saved.kind} in the file, and {built} in the definition")
            return paired_inputs(saved, built, self._labels)[0]
        extra, whose = (saved, "the file") if built.kind == _INPUT else (built, "the definition")
        self._report(f"{extra}: only {whose} has this layer, as the first one")
        return ()

    def _inputs_of(self, saved: Layer, built: Layer) -> Sequence[tuple[Layer, Layer]]:
        pairs, complete = paired_inputs(saved, built, self._labels)
        if not complete and _comparable(saved, built):
            self._report(
                f"{saved}: called with {len(saved.inputs)} tensors in the file, and with {len(built.inputs)}"
                " in the definition"
            )
        return pairs

    def _compare_inputs(self, saved: Layer, built: Layer) -> None:
        """Compare inputs: each corresponds to exactly one other."""
        a, b = self._labels.of_file(saved), self._labels.of_definition(built)
        before = (
            self._paired.setdefault(saved, built),
            self._paired.setdefault(built, saved),
        )
        if (a and b and a != b) or before != (built, saved):
            self._report(f"{saved}: the definition reads {built.name!r} where the file reads this input")

    def _compare_calls(self, saved: Layer, built: Layer) -> None:
        """Compare the keywords of two calls, and the sources of the layers' weights."""
        named, source = self._labels.of_file(saved), self._labels.of_definition(built)
        if named and source and named != source:
            self._report(
                f"{saved}: the definition has {built}, with the weights of {source!r}, at this place"
            )
        if (
            None in (saved.called_with, built.called_with)
            or saved.kind.startswith(_OPERATION)
            or not _comparable(saved, built)
        ):
            return
        first, second = saved.called_with or {}, built.called_with or {}
        for key in sorted({*first, *second}):
            a, b = first.get(key), second.get(key)
            if a != b:
                self._report_setting(saved, f"called with {key}", a, b)

    def compare_with_activation(self, saved: Layer, built: Layer) -> None:
        """Compare two layers and the activations that follow them."""
        (first, a), (second, b) = with_ending(saved), with_ending(built)
        if _may_be_same(first, second):
            self.compare(first, second)
            if not same_function(b, a):
                self._report_setting(first, "activation", a, b)

    def compare(self, saved: Layer, built: Layer) -> None:
        """Compare the settings of two layers at the same place."""
        if saved.kind == _INPUT:
            return
        if not _comparable(saved, built):
            self.result.uncertain.append(str(saved))
            return
        self.result.compared += 1
        if saved.kind in ACTIVATIONS:
            a, b = (layer_function(layer.kind, layer.settings) for layer in (saved, built))
            if not same_function(a, b):
                self._report_setting(saved, "activation", a, b)
            elif not same_axes(_softmax_axis(saved), _softmax_axis(built), built.rank):
                self._report_setting(saved, "axis", _softmax_axis(saved), _softmax_axis(built))
            return
        rank = built.rank + (built.kind in _ADDING) if built.rank is not None else None
        for key, a, b in differing_settings(saved.kind, saved.settings, built.settings, rank):
            self._report_setting(saved, key, a, b)
        self._compare_words(saved, built)

    def _compare_words(self, saved: Layer, built: Layer) -> None:
        file_words = self._vocabularies.get(saved.name, saved.settings.get("vocabulary"))
        defined_words = built.settings.get("vocabulary")
        if isinstance(file_words, list | tuple) and isinstance(defined_words, list):
            a, b = _words(file_words, built.settings), _words(defined_words, built.settings)
            if a != b:
                self._report_setting(saved, "vocabulary", _difference(a, b), _difference(b, a))

    def _report_setting(self, saved: Layer, key: str, a: Any, b: Any) -> None:
        a, b = (value.name if isinstance(value, Function) else value for value in (a, b))
        self._report(f"{saved}, {key}: {a!r:.120} in the file, and {b!r:.120} in the definition")

    def _report(self, problem: str) -> None:
        self.result.problems.append(f"layer {problem}")


def _may_be_same(saved: Layer, built: Layer) -> bool:
    """Whether two layers may correspond."""
    kinds = {saved.kind, built.kind}
    if _INPUT in kinds:
        return len(kinds) == 1
    return len(kinds) == 1 or kinds <= ACTIVATIONS or kinds <= _SHAPES or not _comparable(saved, built)


def _softmax_axis(layer: Layer) -> Any:
    """The axis of an activation layer: the last one, except for Softmax."""
    axis = layer.settings.get("axis") if layer.kind == "Softmax" else None
    return -1 if axis is None else axis


def _comparable(saved: Layer, built: Layer) -> bool:
    """Whether both are known: an operation of another version, or of a function, is not."""
    kinds = {saved.kind, built.kind}
    operations = [kind.startswith(_OPERATION) for kind in (saved.kind, built.kind)]
    if all(operations) or not any(operations):
        return not kinds & _UNKNOWN and (len(kinds) == 1 or not kinds <= _SHAPES)
    return False


def _are_swapped(saved: Layer, built: Layer) -> bool:
    """Whether a layer and the one before it are swapped."""
    if len(saved.inputs) != 1 or len(built.inputs) != 1:
        return False
    first, second = active_layer(saved.inputs[0]), active_layer(built.inputs[0])
    return saved.kind == second.kind and built.kind == first.kind


def _layers_before(layer: Layer) -> Iterator[tuple[list[Layer], Layer]]:
    """The layers to skip, and the layer before them."""
    passed: list[Layer] = []
    while len(passed) < _FURTHEST and len(layer.inputs) == 1 and layer.kind != _INPUT:
        passed.append(layer)
        layer = active_layer(layer.inputs[0])
        yield passed, layer


def _followed_by(layer: Layer) -> str:
    return "all other layers" if layer.kind == _INPUT else f"the layers after {layer}"


def _words(words: Sequence[Any], settings: Mapping[str, Any]) -> list[str]:
    """A vocabulary without its special tokens, which not every format keeps."""
    special = {str(settings.get("mask_token", "")), str(settings.get("oov_token", "[UNK]")), "", "[UNK]"}
    texts = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
    first = next((number for number, word in enumerate(texts) if word not in special), len(texts))
    return texts[first:]


def _difference(words: Sequence[str], others: Sequence[str]) -> str:
    place = next((n for n, pair in enumerate(zip(words, others, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        return f"{len(words)} words"
    examples = ", ".join(words[place : place + _MOST_WORDS])
    return f"{len(words)} words, from number {place} on {examples}"
