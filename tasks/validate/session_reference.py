"""A TF1 graph function with a checkpoint's weights, in a session of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tasks.checkpoint.catalogue import fetch_checkpoint
from tasks.definition import GraphFunctionDefinition, Mode
from tasks.graphs import draw_signature, group_by_saved_name, restore_by_name, with_averages
from tasks.records import WeightsKind
from tasks.train.graph_loop import SessionEvaluator
from tasks.train.graph_training import draw_mode
from tasks.validate.reference import LedgerTensors

if TYPE_CHECKING:
    from tasks.validate.subject import Subject

__all__ = ["SessionReference"]


class SessionReference:
    """As `tasks.validate.reference.Reference`."""

    def __init__(self, definition: GraphFunctionDefinition, subject: Subject, foreign: bool) -> None:
        self._definition, self._events = definition, subject.scratch / "reference-events"
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._session = tf.compat.v1.Session()
            network = definition.build(Mode.EVALUATE)
            self._drawn = {name: draw_signature(definition, network, name) for name in definition.signatures}
            self._evaluated = draw_mode(definition, Mode.EVALUATE, definition.evaluation_data().element_spec)
            groups = group_by_saved_name(tf.compat.v1.global_variables())
            self._start = [tf.compat.v1.tables_initializer(), tf.compat.v1.local_variables_initializer()]
            if foreign:
                _assign(self._session, groups, LedgerTensors(subject))
                self.how = "the checkpoint's tensors, assigned by the restore ledger"
            else:
                prefix, _ = fetch_checkpoint(subject.checkpoint, subject.scratch / "reference")
                _restore(self._session, groups, prefix, subject.exported.weights)
                self.how = f"{prefix.name}, restored by TensorFlow's Saver"
            self._session.run(self._start)

    def answer(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Output name to answers."""
        drawn = self._drawn[signature]
        feed = {drawn.inputs[name]: value for name, value in inputs.items()}
        answers: dict[str, np.ndarray] = self._session.run(dict(drawn.outputs), feed)
        return answers

    def evaluate(self) -> dict[str, float]:
        """Metric name to value over the evaluation data."""
        evaluate = SessionEvaluator(self._definition, self._events, self._session)
        try:
            return evaluate(self._evaluated)
        finally:
            evaluate.close()

    def close(self) -> None:
        """Let go of the weights."""
        self._session.close()


def _restore(session: Any, groups: Mapping[str, Sequence[Any]], prefix: Path, weights: WeightsKind) -> None:
    keys = {name: name for name in groups}
    if weights == "average":
        keys = with_averages(groups, tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map())
    restore_by_name(session, prefix, {keys[name]: parts for name, parts in groups.items()})


def _assign(session: Any, groups: Mapping[str, Sequence[Any]], tensors: LedgerTensors) -> None:
    """Put the ledger's tensors under the variables; whatever is not served keeps its initial value."""
    for name, parts in groups.items():
        value = tensors.read(name)
        for part in parts:
            feed = {} if value is None else {part.initializer.inputs[1]: _slice(part, value)}
            session.run(part.initializer, feed)


def _slice(part: Any, whole: np.ndarray) -> np.ndarray:
    """What one part of a partitioned variable holds of the whole."""
    info = part._get_save_slice_info()  # what a Saver asks; there is no public way
    if info is None:
        return whole
    bounds = zip(info.var_offset, info.var_shape, strict=True)
    return whole[tuple(slice(offset, offset + size) for offset, size in bounds)]
