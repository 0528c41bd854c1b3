"""Defects of models whose inputs and outputs have names that are no identifiers of Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from redraw.definition import GraphFunctionDefinition, Mode, TensorSpec
from tests.defects.bases import Bases, export_definition, train_definition
from tests.defects.planting import Defect, Specimen, edit_graph, planted, sealed
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature

__all__ = ["DEFECTS", "GOOD"]

_NAMES = ("image/encoded", "user-id", "größe", "class", "self")
_ONE = TensorSpec("float32", (None, 1))


class OddNames(Tiny):
    """A sum of its inputs, each by a weight of its own."""

    signatures = one_signature(dict.fromkeys(_NAMES, _ONE), **{"y/0": _ONE, "lambda": _ONE})

    def rows(self, count: int) -> Arrays:
        return {name: normal(count, 1) + place for place, name in enumerate(_NAMES)}

    def build(self, mode: Mode) -> Any:
        return keras.Sequential([keras.Input([1]), keras.layers.Dense(1, name="y")])

    def call(self, network: Any, features: Any, mode: Any) -> Any:
        summed = tf.add_n([features[name] * 2.0**place for place, name in enumerate(_NAMES)])
        return self.call_serving(network, summed)

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        y = self.call(network, inputs, Mode.SERVE)
        return {"y/0": y, "lambda": y + 1.0}


class OddGraph(GraphFunctionDefinition, OddNames):
    """The same as a TF1 graph."""

    call = OddNames.call

    def graph(self, mode: Mode, features: Any) -> Any:
        return features @ tf.compat.v1.get_variable("w", [1, 1])


def _trained(bases: Bases, kind: type[OddNames]) -> Specimen:
    definition, folder = kind(), bases.new_folder("odd")
    checkpoint = train_definition(definition, "odd_names", folder)
    exported = export_definition(definition, checkpoint, folder / "model")
    return Specimen(exported=exported, definition=definition)


def _edited(bases: Bases, edit: Any) -> Specimen:
    specimen = _trained(bases, OddNames)
    edit_graph(Path(specimen.exported.uri), lambda graph: edit(graph.signature_def["serving_default"]))
    return Specimen(exported=sealed(specimen.exported), definition=specimen.definition)


@planted("odd_names", "signatures")
def odd_input_renamed_as_an_identifier(bases: Bases) -> Specimen:
    """A tool made `image/encoded` a name that Python takes, and every caller gets an error."""

    def rename(signature: Any) -> None:
        signature.inputs["image_encoded"].CopyFrom(signature.inputs.pop("image/encoded"))

    return _edited(bases, rename)


@planted("odd_names", "golden-examples")
def odd_inputs_exchanged(bases: Bases) -> Specimen:
    """Inputs are given by place, in another order than that of their names."""

    def swap(signature: Any) -> None:
        first, second = (signature.inputs[name] for name in ("class", "self"))
        first.name, second.name = second.name, first.name

    return _edited(bases, swap)


GOOD = {
    "odd-names-of-a-network": lambda bases: _trained(bases, OddNames),
    "odd-names-of-a-graph": lambda bases: _trained(bases, OddGraph),
}
DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
