"""A TF1 graph function with a checkpoint's weights, in a session of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.compat.tensorflow import saved_slice
from redraw.definition import GraphFunctionDefinition, Mode
from redraw.definition.user_code import batches_of, method_of, running_user_code
from redraw.errors import CheckpointMismatch
from redraw.networks.graph_functions import (
    draw_signature,
    group_by_saved_name,
    restore_by_name,
    with_averages,
)
from redraw.records import WeightsKind
from redraw.train.graph_loop import SessionEvaluator
from redraw.train.graph_training import draw_mode
from redraw.validate.subject.reference import LedgerTensors


class SessionReference:
    """The `Reference` of a TF1 graph function."""

    def __init__(self, definition: GraphFunctionDefinition, weights: WeightsKind) -> None:
        self._definition, self._weights = definition, weights
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._session = tf.compat.v1.Session()
            with running_user_code(method_of(definition, f"build({Mode.EVALUATE})")):
                network = definition.build(Mode.EVALUATE)
            self._drawn = {name: draw_signature(definition, network, name) for name in definition.signatures}
            if not definition.lacks("evaluation_data", "loss"):
                with running_user_code(f"{method_of(definition, 'evaluation_data')}, or its graph,"):
                    spec = batches_of(definition, "evaluation_data").element_spec
                    self._evaluated = draw_mode(definition, Mode.EVALUATE, spec)
            self._groups = group_by_saved_name(tf.compat.v1.global_variables())
            start = [tf.compat.v1.tables_initializer(), tf.compat.v1.local_variables_initializer()]
            with running_user_code(f"{method_of(definition, 'graph')}, its tables,"):
                self._session.run(start)

    def restore(self, prefix: Path) -> str:
        """Restore by the variables' names."""
        keys = {name: name for name in self._groups}
        with self._graph.as_default():
            if self._weights == "average":
                saved_names = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
                keys = with_averages(self._groups, saved_names)
            restore_by_name(
                self._session, prefix, {keys[name]: parts for name, parts in self._groups.items()}
            )
        return "TensorFlow's Saver"

    def assign(self, tensors: LedgerTensors) -> None:
        """Assign the tensors that the ledger serves; other variables keep their initial values."""
        for name, parts in self._groups.items():
            value = tensors.read(name)
            for part in parts:
                feed = {} if value is None else {part.initializer.inputs[1]: _slice(part, value)}
                try:
                    self._session.run(part.initializer, feed)
                except ValueError as err:
                    raise CheckpointMismatch(
                        f"variable {name!r}: the tensor that the restore ledger names does not fit: {err}."
                        " Validate with the definition that the export was made from."
                    ) from err

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers."""
        drawn = self._drawn[signature]
        feed = {drawn.inputs[name]: value for name, value in inputs.items()}
        with running_user_code(
            method_of(self._definition, f"serve, signature {signature!r}, called for comparison,")
        ):
            answers: dict[str, np.ndarray] = self._session.run(dict(drawn.outputs), feed)
        return answers

    def evaluate(self) -> dict[str, float]:
        """Metric name to value over the evaluation data."""
        with tempfile.TemporaryDirectory() as events:
            evaluate = SessionEvaluator(self._definition, Path(events), self._session)
            try:
                return evaluate(self._evaluated)
            finally:
                evaluate.close()

    def close(self) -> None:
        """Free the weights."""
        self._session.close()


def _slice(part: Any, value: np.ndarray) -> np.ndarray:
    """The rows of a variable's value that belong to one part of a partitioned variable."""
    info = saved_slice(part)
    if info is None:
        return value
    bounds = zip(info.offset, info.shape, strict=True)
    return value[tuple(slice(offset, offset + size) for offset, size in bounds)]
