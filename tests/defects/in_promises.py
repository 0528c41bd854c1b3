"""Defects of what is promised: bounds, budgets, and what the live version does already."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import tensorflow as tf

from redraw.definition import Budget, ModelDefinition, OutsideReference, Threshold
from redraw.definition.registry import load_definition
from redraw.models.digits_graph import DigitsGraph
from redraw.models.mnist import Mnist
from redraw.models.recommender import Recommender
from tests.defects.bases import Bases, export_definition, train_definition
from tests.defects.grafts import graft, hang_on
from tests.defects.planting import Defect, Specimen, copy_of, edit_graph, planted, sealed

__all__ = ["DEFECTS"]

_TWO_GIGABYTES = 1 << 31


class SmallBudget(Mnist):
    """MNIST for a device with room for 100 kB."""

    budget: ClassVar[Budget] = Budget(size_bytes=100_000)


class FewVariables(Recommender):
    """A recommender with fewer values than its table has."""

    budget: ClassVar[Budget] = Budget(variables=10_000)


class QuickAnswers(DigitsGraph):
    """Digits within a microsecond."""

    budget: ClassVar[Budget] = Budget(p50_ms=0.001)


class ManyRows(DigitsGraph):
    """A billion digits a second."""

    budget: ClassVar[Budget] = Budget(rows_per_second=1e9)


class ForServersOf2024(DigitsGraph):
    """Digits, for servers as old as 2.18."""

    serving_runtime = "2.18"


class NearlyPerfect(DigitsGraph):
    """Digits, with no error but one in ten thousand."""

    thresholds: ClassVar[Mapping[str, Threshold]] = {"accuracy": Threshold(at_least=0.9999)}


class NeverWorse(Mnist):
    """MNIST that may lose one digit of 200 to the live version, and no more; hardly trained."""

    training = replace(Mnist.training, steps=20)
    thresholds: ClassVar[Mapping[str, Threshold]] = {}
    max_regression: ClassVar[Mapping[str, float]] = {"accuracy": 0.005}


class NeverOtherwise(NeverWorse):
    """MNIST that may answer one row in fifty otherwise than the live version, and no more; hardly trained."""

    max_regression: ClassVar[Mapping[str, float]] = {}
    max_changed: ClassVar[Mapping[str, float]] = {"digit": 0.02}


@planted("mnist", "size-budget")
def size_over_the_budget(bases: Bases) -> Specimen:
    """It does not fit the device that it is for."""
    return _held_to(bases, "mnist", SmallBudget())


@planted("recommender", "size-budget")
def variables_over_the_budget(bases: Bases) -> Specimen:
    """It needs more memory than its server has for it."""
    return _held_to(bases, "recommender", FewVariables())


@planted("digits_graph", "latency-budget")
def latency_over_the_budget(bases: Bases) -> Specimen:
    """Callers give up before the answer is there."""
    return _held_to(bases, "digits_graph", QuickAnswers())


@planted("digits_graph", "latency-budget")
def throughput_below_the_budget(bases: Bases) -> Specimen:
    """One server is not enough, and there is only one."""
    return _held_to(bases, "digits_graph", ManyRows())


@planted("digits_graph", "metric-thresholds")
def accuracy_below_the_threshold(bases: Bases) -> Specimen:
    """A model that was not trained well enough is published."""
    return _held_to(bases, "digits_graph", NearlyPerfect())


@planted("mnist", "metric-thresholds")
def loss_above_the_threshold(bases: Bases) -> Specimen:
    """The weights of the training's beginning are published, because their file was at hand."""
    early = bases.export("mnist", 200, "raw")
    worse = {
        name: value + 1.0 if name == "loss" else value for name, value in early.checkpoint.metrics.items()
    }
    checkpoint = replace(early.checkpoint, metrics=worse)
    return Specimen(exported=replace(early, checkpoint=checkpoint), definition=load_definition("mnist"))


@planted("mnist", "live-metrics")
def worse_than_what_is_live(bases: Bases) -> Specimen:
    """Every threshold is kept, and users get worse answers than yesterday."""
    return _next_to_live(bases, NeverWorse())


@planted("mnist", "live-answers")
def other_than_what_is_live(bases: Bases) -> Specimen:
    """Nobody measures whether it is worse; but users get other answers than yesterday."""
    return _next_to_live(bases, NeverOtherwise())


def _next_to_live(bases: Bases, definition: ModelDefinition) -> Specimen:
    # After 200 of its 1,000 steps a training is at times as good as at its end.
    folder = bases.new_folder("begun")
    checkpoint = train_definition(definition, "mnist", folder)
    exported = export_definition(definition, checkpoint, folder / "export")
    return Specimen(exported=exported, definition=definition, live=bases.export("mnist"))


@planted("mnist", "graph-size")
def graph_over_two_gigabytes(bases: Bases) -> Specimen:
    """No server can parse it: a message of protocol buffers ends at two gigabytes."""
    exported = copy_of(bases.export("mnist"), bases.new_folder("defect"))
    # A file with a hole: it takes no room on the disk.
    os.truncate(Path(exported.uri) / "saved_model.pb", _TWO_GIGABYTES + 1)
    return Specimen(exported=exported, definition=load_definition("mnist"))


@planted("digits_graph", "serving-runtime")
def op_newer_than_the_server(bases: Bases) -> Specimen:
    """The server has no such operation, and refuses the version."""
    exported = copy_of(bases.export("digits_graph"), bases.new_folder("defect"))

    def draw(answer: tf.Tensor) -> tf.Operation:
        return tf.raw_ops.DecodeWebP(contents="no image", name="thumbnail/decoded").op

    edit_graph(Path(exported.uri), lambda graph: hang_on(graph, graft(graph, "logits/add", draw)))
    return Specimen(exported=sealed(exported), definition=ForServersOf2024())


def _held_to(bases: Bases, model: str, definition: ModelDefinition) -> Specimen:
    return Specimen(exported=bases.export(model), definition=definition)


class _Brighter:
    """A network that is given its features times a factor that it never saw."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, features: Any, training: bool) -> Any:
        return self.network(features * 1.1, training=training)


@planted("mnist", "reference-answers")
def pixels_scaled_by_another_constant(bases: Bases) -> Specimen:
    """A wrong constant of the preprocessing: definition and checkpoint agree, and answers are off."""

    class Brighter(Mnist):
        """MNIST with a wrong constant before the network."""

        reference = OutsideReference(uri=bases.export("mnist").uri)

        def serve(
            self, network: Any, signature: str, inputs: Mapping[str, tf.Tensor]
        ) -> Mapping[str, tf.Tensor]:
            return super().serve(_Brighter(network), signature, inputs)

    exported = export_definition(Brighter(), bases.checkpoint("mnist"), bases.new_folder("defect"))
    return Specimen(exported=exported, definition=Brighter())


DEFECTS = tuple(value for value in vars().copy().values() if isinstance(value, Defect))
