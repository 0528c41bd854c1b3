"""A Keras model or a tf.Module with a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tasks.checkpoint.catalogue import fetch_checkpoint
from tasks.definition import Mode, ModelDefinition
from tasks.errors import CheckpointMismatch
from tasks.export.declared import draw_declared
from tasks.networks import copy_weights, draw_network, renew_derived_constants, weights_by_name
from tasks.records import WeightsKind
from tasks.train.evaluate import Evaluator
from tasks.validate.reference import LedgerTensors

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["NetworkReference"]


class NetworkReference:
    """As `tasks.validate.reference.Reference`."""

    def __init__(self, subject: Subject, foreign: bool) -> None:
        self._definition = subject.definition
        self._events = subject.scratch / "reference-events"
        if foreign:
            self._network = _assigned(self._definition, LedgerTensors(subject))
            self.how = "the checkpoint's tensors, assigned by the restore ledger"
        else:
            prefix, _ = fetch_checkpoint(subject.checkpoint, subject.scratch / "reference")
            self._network = _restored(self._definition, prefix, subject.exported.weights)
            self.how = f"{prefix.name}, restored by tf.train.Checkpoint"
        self._serving: dict[str, Any] = {}

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers."""
        specs = self._definition.signatures[signature].inputs
        given = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
        if signature not in self._serving:
            self._serving[signature] = tf.function(
                lambda tensors: self._definition.serve(self._network, signature, tensors)
            )
        return {name: value.numpy() for name, value in self._serving[signature](given).items()}

    def evaluate(self) -> dict[str, float]:
        """Metric name to value over the evaluation data."""
        evaluate = Evaluator(self._definition, self._events)
        try:
            return evaluate(self._network)
        finally:
            evaluate.close()

    def close(self) -> None:
        """Let go of the weights."""
        self._network = None
        self._serving.clear()


def _assigned(definition: ModelDefinition, tensors: LedgerTensors) -> Any:
    network = _drawn(definition, Mode.EVALUATE)
    for name, variable in weights_by_name(network).items():
        value = tensors.read(name)
        if value is not None:
            variable.assign(value)
    renew_derived_constants(network)
    return network


def _restored(definition: ModelDefinition, prefix: Path, weights: WeightsKind) -> Any:
    network = _drawn(definition, Mode.EVALUATE)
    source = network if weights == "average" else _drawn(definition, Mode.TRAIN)
    tracked = {"average": source} if weights == "average" else {"model": source}
    try:
        status = tf.train.Checkpoint(**tracked).read(str(prefix))
        status.expect_partial().assert_existing_objects_matched()
    except (AssertionError, ValueError) as err:
        first_line = str(err).partition("\n")[0]
        raise CheckpointMismatch(
            f"{prefix}: expected {weights} weights of this definition's network, got: {first_line}."
        ) from err
    if source is not network:
        copy_weights(source, network)
    renew_derived_constants(network)
    return network


def _drawn(definition: ModelDefinition, mode: Mode) -> Any:
    """A network whose weights take memory when they are restored, and not before."""
    return draw_declared(lambda declarations: draw_network(definition, mode, declarations.in_force()))
