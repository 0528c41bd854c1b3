"""A Keras model or a tf.Module with a checkpoint's weights."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import Mode, ModelDefinition
from redraw.definition.user_code import method_of, running_user_code
from redraw.errors import CheckpointMismatch, one_line
from redraw.export.graph.declared import Declarations, draw_declared
from redraw.export.graph.tracing import trace_signature
from redraw.networks.modules import (
    copy_weights,
    draw_network,
    layers_of,
    renew_derived_constants,
    weights_by_name,
)
from redraw.records import WeightsKind
from redraw.train.evaluate import Evaluator
from redraw.validate.subject.reference import LedgerTensors


class NetworkReference:
    """The `Reference` of a Keras model or a tf.Module.

    The networks take memory only once weights are restored into them. Raw weights exist once:
    the training network and the evaluation network share them.
    """

    def __init__(self, definition: ModelDefinition, weights: WeightsKind) -> None:
        self._definition, self._weights = definition, weights
        self._network = _draw(definition, Mode.EVALUATE)
        self._trained = self._network if weights == "average" else _draw(definition, Mode.TRAIN)
        self._serving: dict[str, Any] = {}

    def restore(self, prefix: Path) -> str:
        """Restore with `tf.train.Checkpoint`, by the objects that training saved."""
        root = {"average" if self._weights == "average" else "model": self._trained}
        try:
            status = tf.train.Checkpoint(**root).read(str(prefix))
            status.expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError) as err:
            first_line = one_line(str(err).partition("\n")[0])
            raise CheckpointMismatch(
                f"{prefix}: expected {self._weights} weights of this definition's network, got:"
                f" {first_line}. Name another checkpoint, or use the definition that trained this one."
            ) from err
        if self._trained is not self._network:
            copy_weights(self._trained, self._network)
        renew_derived_constants(self._network)
        return "tf.train.Checkpoint"

    def assign(self, tensors: LedgerTensors) -> None:
        """Assign the tensors that the ledger serves."""
        for name, variable in weights_by_name(self._network).items():
            value = tensors.read(name)
            if value is not None:
                _demand_fit(name, variable, value)
                variable.assign(value)
        renew_derived_constants(self._network)

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers."""
        specs = self._definition.signatures[signature].inputs
        if signature not in self._serving:
            # Traced once for every batch size, as for serving.
            tensors = {name: tf.TensorSpec(spec.shape, spec.dtype) for name, spec in specs.items()}
            self._serving[signature] = tf.function(
                lambda features: self._definition.serve(self._network, signature, features),
                input_signature=[tensors],
            )
        with running_user_code(
            method_of(self._definition, f"serve, signature {signature!r}, called for comparison,")
        ):
            features = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
            return {name: value.numpy() for name, value in self._serving[signature](features).items()}

    def evaluate(self) -> dict[str, float]:
        """Metric name to value over the evaluation data."""
        with tempfile.TemporaryDirectory() as events:
            evaluate = Evaluator(self._definition, Path(events))
            try:
                return evaluate(self._network)
            finally:
                evaluate.close()

    def close(self) -> None:
        """Free the weights."""
        self._network = self._trained = None
        self._serving.clear()


def _demand_fit(name: str, variable: Any, value: np.ndarray) -> None:
    want = f"{variable.dtype.base_dtype.name} {variable.shape.as_list()}"
    got = f"{value.dtype.name} {list(value.shape)}"
    if want.replace("string", "object") != got:
        raise CheckpointMismatch(
            f"variable {name!r}: expected {want} from the tensor that the restore ledger names, got {got}."
            " Validate with the definition that the export was made from."
        )


def _draw(definition: ModelDefinition, mode: Mode) -> Any:
    def draw(declarations: Declarations) -> Any:
        network = draw_network(definition, mode, declarations.in_force())
        if not all(layer.built for layer in layers_of(network)):
            # A layer that was never called has no variables yet for the weights.
            for name, signature in sorted(definition.signatures.items()):
                trace_signature(definition, network, name, signature, declarations)
        return network

    return draw_declared(draw)
