"""Layers whose training behaviour a recorded graph contains: tested in a session, then overridden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.definition import RecordedDefinition
from redraw.records import WeightsKind
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.loops import inside_loops

_FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_INPUT = "redraw_input/"
# The suffix of the operation that reads a resource variable's value.
READ = "/redraw_read"
_FEWEST = 4000
_MOST_RUNS = 40
_ANY_RATE = 0.6


class Layers:
    """The layers for which the definition claims an inference behaviour.

    Args:
        session: A session of the unchanged graph, restored.
        definition: The definition.
        reader: A reader of the checkpoint.
        weights: Which weights the export serves.
    """

    def __init__(
        self, session: Any, definition: RecordedDefinition, reader: Any, weights: WeightsKind
    ) -> None:
        self._session, self._graph, self._definition = session, session.graph, definition
        self._reader, self._weights = reader, weights
        order = {operation.name: place for place, operation in enumerate(self._graph.get_operations())}
        redrawn = definition.redrawn
        self._keys = {variable.node: variable.key for variable in redrawn.variables}
        self._inside = inside_loops(definition.opened.meta_graph.graph_def)
        claims = [claim for claim in redrawn.replaced if not claim.function and self._is_fed(claim.tensor)]
        # Layers near the input come first: the values of later ones are computed from theirs.
        self._claims = sorted(claims, key=lambda claim: order[claim.tensor.partition(":")[0]])
        self._loose = self._loose_rates()

    def _is_fed(self, tensor: str) -> bool:
        name = tensor.partition(":")[0]
        try:
            operation = self._graph.get_operation_by_name(name)
        except KeyError as err:
            raise CannotRun(
                f"{tensor} is inside a function of the recorded graph, so a session cannot feed it",
                "Waive the check, or write the model as a definition.",
            ) from err
        return operation.name not in self._inside

    def _tensor(self, name: str) -> Any:
        if name.startswith(_INPUT):
            cut = self._definition.inputs[name.removeprefix(_INPUT).partition(":")[0]]
            name = cut if ":" in cut else f"{cut}:0"
        return self._graph.get_tensor_by_name(name)

    def _loose_rates(self) -> dict[Any, float]:
        """Placeholders of rates without a constant: they need a value, though what reads it is overridden."""
        fed = {
            self._tensor(_full(name))
            for name in (*self._definition.constants, *self._definition.inputs.values())
        }
        operations = self._graph.get_operations()
        placeholders = [tensor for op in operations if op.type == "Placeholder" for tensor in op.outputs]
        return {
            tensor: _ANY_RATE
            for tensor in placeholders
            if tensor not in fed and tensor.dtype.is_floating and tensor.shape.rank in (0, None)
        }

    def settled(self, feeds: dict[Any, Any], fetches: Iterable[Any]) -> dict[Any, Any]:
        """The feeds, plus overrides of the training behaviour of every layer that the fetches need."""
        feeds, needed = {**self._loose, **feeds}, self._operations_behind(fetches)
        for claim in self._claims:
            if claim.tensor.partition(":")[0] not in needed:
                continue
            tensor = self._tensor(claim.tensor)
            if claim.kind != "batch statistic":
                feeds[tensor] = self._session.run(self._tensor(claim.by), feeds)
            elif tensor.op.type in _FUSED:
                feeds[tensor.op.outputs[0]] = self._normalized(tensor.op, feeds)
            else:
                feeds[tensor] = self._statistic(claim.by, tensor)
        return feeds

    def _operations_behind(self, fetches: Iterable[Any]) -> set[str]:
        queue = [tensor.op for tensor in fetches]
        seen = {operation.name for operation in queue}
        for operation in queue:
            for tensor in operation.inputs:
                if tensor.op.name not in seen:
                    seen.add(tensor.op.name)
                    queue.append(tensor.op)
        return seen

    def _value(self, variable: str) -> np.ndarray:
        key = self._keys[variable]
        average = f"{key}/ExponentialMovingAverage"
        served = average if self._weights == "average" and self._reader.has_tensor(average) else key
        return np.asarray(self._reader.get_tensor(served))

    def _statistic(self, variable: str, tensor: Any) -> np.ndarray:
        value = self._value(variable)
        return value.reshape(tensor.shape.as_list() if tensor.shape.is_fully_defined() else value.shape)

    def _normalized(self, operation: Any, feeds: dict[Any, Any]) -> np.ndarray:
        """The inference value of a fused batch normalization, in NumPy."""
        averages = {claim.tensor: claim.by for claim in self._claims}
        mean, variance = (self._value(averages[operation.outputs[n].name]) for n in (1, 2))
        x, gamma, beta = self._session.run(list(operation.inputs[:3]), feeds)
        axis = 1 if operation.get_attr("data_format").startswith(b"NC") else -1
        shape = [1] * x.ndim
        shape[axis] = -1
        mean, variance, gamma, beta = (
            value.astype(np.float64).reshape(shape) for value in (mean, variance, gamma, beta)
        )
        answer = (x - mean) / np.sqrt(variance + operation.get_attr("epsilon")) * gamma + beta
        return np.asarray(answer, x.dtype)

    def try_claims(self, feeds: dict[Any, Any]) -> None:
        """Test each claim in this session. It updates variables: restore them afterwards.

        Raises:
            CannotRun: A claim is wrong.
        """
        averages = {average.statistic: average for average in self._definition.redrawn.averages}
        feeds = {**self._loose, **feeds}
        for claim in self._claims:
            if claim.kind == "batch statistic":
                self._try_average(averages[claim.tensor], feeds)
            else:
                self._try_chance(claim, feeds)

    def _try_chance(self, claim: Any, feeds: dict[Any, Any]) -> None:
        data, product = self._tensor(claim.by), self._tensor(claim.tensor)
        shape = self._session.run(data, feeds).shape
        rng = np.random.default_rng(3)
        inputs: list[np.ndarray] = []
        answers: list[np.ndarray] = []
        while len(answers) < _MOST_RUNS and sum(answer.size for answer in answers) < _FEWEST:
            x = rng.uniform(1, 2, shape).astype(data.dtype.as_numpy_dtype)
            inputs.append(x)
            answers.append(self._session.run(product, {**feeds, data: x}))
        x, y = (
            np.concatenate([run.ravel() for run in runs]).astype(np.float64) for runs in (inputs, answers)
        )
        fits = _is_dropout(x, y) if claim.kind == "dropout" else abs(np.mean(y) - np.mean(x)) < 0.2
        if not fits:
            raise CannotRun(
                f"the recorded graph itself does not show that {claim.tensor} is {claim.kind} of {claim.by}",
                "Write the model as a definition, and report the problem to Redraw with the recorded graph.",
            )

    def _read_of(self, variable: Any) -> Any:
        name = f"{variable.name}{READ}"
        try:
            return self._graph.get_tensor_by_name(f"{name}:0")
        except KeyError:
            with self._graph.as_default():
                return tf.raw_ops.ReadVariableOp(
                    resource=variable.outputs[0], dtype=variable.get_attr("dtype"), name=name
                )

    def _try_average(self, average: Any, feeds: dict[Any, Any]) -> None:
        """Run the update with a chosen statistic: the variable must move towards it."""
        statistic = self._tensor(average.statistic)
        update = self._graph.get_operation_by_name(average.assignment)
        variable = self._graph.get_operation_by_name(average.variable)
        value = variable.outputs[0]
        if variable.type == "VarHandleOp":
            value = self._read_of(variable)
        old = self._session.run(value)
        target = old + np.random.default_rng(5).uniform(1, 2, old.shape).astype(old.dtype)
        shape = statistic.shape.as_list() if statistic.shape.is_fully_defined() else old.shape
        fed = {tensor: value for tensor, value in feeds.items() if tensor is not statistic}
        self._session.run(update, {**fed, statistic: target.reshape(shape)})
        moved = (self._session.run(value) - old) / (target - old)
        if average.share and (np.min(moved) <= 0 or np.max(moved) > 1.3):
            raise CannotRun(
                f"the recorded graph does not show that {average.variable} averages {average.statistic}",
                "Write the model as a definition, and report the problem to Redraw with the recorded graph.",
            )


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _is_dropout(x: np.ndarray, y: np.ndarray) -> bool:
    nonzero = y != 0
    if not nonzero.any():
        return False
    ratios = y[nonzero] / x[nonzero]
    # A mask may be drawn for whole rows or channels; then there are fewer draws than values.
    return float(np.ptp(ratios)) < 0.05 and abs(1 / float(ratios.mean()) - float(nonzero.mean())) < 0.1
