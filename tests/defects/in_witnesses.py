"""Defects that neither definition nor weights know of, but averages, old models and recorded graphs do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.definition import GraphFunctionDefinition, Mode, OutsideReference, TensorSpec
from redraw.models.digits_graph import DigitsGraph
from redraw.models.recommender import Recommender
from tests.defects.bases import Bases, export_definition
from tests.defects.in_signatures import Unasked
from tests.defects.planting import (
    Defect,
    Specimen,
    copy_of,
    edit_weights,
    planted,
    planted_in_definition,
    sealed,
)
from tests.defects.tiny import Arrays, Tensors, Tiny, normal, one_signature
from tests.redraw.recorded.asking import definition_of
from tests.redraw.recorded.old_graphs import Case, record

__all__ = ["DEFECTS", "GOOD"]

v1 = tf.compat.v1


@planted("digits_graph", "weights-source")
def one_layer_raw_among_averages(bases: Bases) -> Specimen:
    """The averages of one scope were found nowhere, and its raw weights are served among averages."""
    raw = TensorBundle(Path(bases.export("digits_graph", None, "raw").uri) / "variables" / "variables")
    exported = copy_of(bases.export("digits_graph"), bases.new_folder("defect"))

    def mix(values: dict[str, np.ndarray]) -> None:
        for key in values:
            if key.startswith("conv_1/"):
                values[key] = raw.read_array(key)

    edit_weights(Path(exported.uri), mix)
    return Specimen(exported=sealed(exported), definition=DigitsGraph())


class CalibratedTwice(Recommender):
    """Scores that the network makes chances of are made chances of again."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        return {**answer, "chance": tf.sqrt(answer["chance"])}


class FirstOfTen(DigitsGraph):
    """Digits are counted from another class on."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        return {**answer, "digit": (answer["digit"] + 1) % 10}


def _next_to(bases: Bases, model: str, kind: Any) -> Specimen:
    """A definition next to the model as it answered before, which knows nothing of it."""
    named = type(kind.__name__, (kind,), {"reference": OutsideReference(uri=bases.export(model).uri)})
    exported = export_definition(named(), bases.checkpoint(model), bases.new_folder("defect"))
    return Specimen(exported=exported, definition=named())


@planted("recommender", "reference-answers")
def score_calibrated_twice(bases: Bases) -> Specimen:
    """Chances are larger than those of the old model, in the same order."""
    return _next_to(bases, "recommender", CalibratedTwice)


@planted("digits_graph", "reference-answers")
def classes_in_another_order(bases: Bases) -> Specimen:
    """Each class has its neighbour's name, in all requests alike."""
    return _next_to(bases, "digits_graph", FirstOfTen)


@planted_in_definition("digits_graph", "request-edges", Unasked)
class LargeBatchesRefused(Unasked):
    """A signature without golden examples refuses the batches that a busy server makes."""

    def serve(self, network: Any, signature: str, inputs: Tensors) -> Tensors:
        answer = super().serve(network, signature, inputs)
        if signature == "serving_default":
            return answer
        padded = tf.pad(answer["second"], [[0, 64 - tf.shape(answer["second"])[0]]])
        return {**answer, "second": padded[: tf.shape(answer["first"])[0]]}


def _recorded(bases: Bases, **case: str) -> Specimen:
    """A recorded graph, served without its code."""
    folder = bases.new_folder("recorded")
    folder.mkdir(parents=True)
    recorded = record(Case(**case), folder / "run")
    definition = definition_of(recorded)
    exported = export_definition(definition, str(recorded.prefix), folder / "model", model="drafted")
    return Specimen(exported=exported, definition=definition)


@planted("recorded", "recorded-answers")
def recorded_bias_replaced(bases: Bases) -> Specimen:
    """A bias of a recorded graph is another one where it is served."""
    specimen = _recorded(bases, source="queue", dropout="floor")

    def change(values: dict[str, np.ndarray]) -> None:
        values["in/bias"] = np.full_like(values["in/bias"], 9.0)

    edit_weights(Path(specimen.exported.uri), change)
    return replace(specimen, exported=sealed(specimen.exported))


class AveragedOld(GraphFunctionDefinition, Tiny):
    """A TF1 network whose averages are named by its scopes."""

    weights = "average"
    training = replace(Tiny.training, average_decay=0.5)
    signatures = one_signature({"x": TensorSpec("float32", (None, 4))}, y=TensorSpec("float32", (None, 1)))

    def rows(self, count: int) -> Arrays:
        return {"x": normal(count, 4)}

    def graph(self, mode: Mode, features: Any) -> Any:
        with v1.variable_scope("head"):
            kernel = v1.get_variable("w", [4, 1])
            bias = v1.get_variable("b", [1], initializer=v1.zeros_initializer())
        return features["x"] @ kernel + bias


def _averages(bases: Bases) -> Specimen:
    """Weights and their averages, as a TF1 training saved them."""
    folder = bases.new_folder("averages")
    folder.mkdir(parents=True)
    with tf.Graph().as_default(), v1.Session() as session:
        AveragedOld().graph(Mode.TRAIN, {"x": tf.ones([2, 4])})
        average = tf.train.ExponentialMovingAverage(0.5)
        keep = average.apply(v1.trainable_variables())
        session.run(v1.global_variables_initializer())
        session.run([variable.assign_add(variable * 0 + 1) for variable in v1.trainable_variables()])
        session.run(keep)
        prefix = v1.train.Saver().save(session, str(folder / "model.ckpt"), 7)
    definition = AveragedOld()
    exported = export_definition(definition, prefix, folder / "model", model="averaged_old")
    return Specimen(exported=exported, definition=definition)


def _unasked(bases: Bases) -> Specimen:
    exported = export_definition(Unasked(), bases.checkpoint("digits_graph"), bases.new_folder("good"))
    return Specimen(exported=exported, definition=Unasked())


GOOD: Mapping[str, Callable[[Bases], Specimen]] = {
    "averages-by-scope": _averages,
    "signature-without-examples": _unasked,
    "next-to-the-old-model": functools.partial(_next_to, model="recommender", kind=Recommender),
    "recorded-queue": functools.partial(_recorded, source="queue", dropout="floor"),
    "recorded-reference-variables": functools.partial(_recorded, norm="fused", variables="reference"),
}
DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
