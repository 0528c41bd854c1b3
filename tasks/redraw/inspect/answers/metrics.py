"""The metrics of both versions on labelled rows, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from redraw.definition import ModelDefinition
from redraw.definition.user_code import method_of, running_user_code
from redraw.inspect.answers.pair import AnsweredBatch
from redraw.inspect.answers.samples import RandomRows, resample_metrics
from redraw.records.results import ComparedMetrics, MeasuredTwice

# The rows of a signature: enough for shares within 0.01, and few enough to resample in seconds.
_ROWS, _SEED = 5_000, 29
_LOWER, _UPPER = 2.5, 97.5

_Side = dict[str, np.ndarray]


def lower_is_better(definition: ModelDefinition, name: str) -> bool:
    """Whether a metric has only an upper bound or, without a threshold, is an error or a loss by name."""
    bound = definition.thresholds.get(name)
    if bound is None:
        return name.endswith(("error", "loss"))
    return bound.at_least is None and bound.at_most is not None


class LabelledRows:
    """A random sample of the labelled rows of a signature, with both answers.

    Attributes:
        left_out: The number of rows with other labels, or labels of another shape, than the first ones.
    """

    def __init__(self) -> None:
        self._rows = RandomRows[tuple[Any, ...]](_ROWS, _SEED)
        self._form: Any = None
        self.left_out = 0

    def add(self, answered: AnsweredBatch) -> None:
        """Add the rows of a batch, if they have the form of the first batch."""
        sides = (answered.here, answered.other, answered.batch.labels)
        form = [[(name, value.shape[1:], _kind(value)) for name, value in side.items()] for side in sides]
        self._form = self._form or form
        if form == self._form:
            self._rows.add(
                answered.batch.rows, lambda row: tuple(v[row] for side in sides for v in side.values())
            )
        else:
            self.left_out += answered.batch.rows

    def measure(self, definition: ModelDefinition, signature: str) -> ComparedMetrics:
        """The definition's metrics of these rows.

        Raises:
            InvalidDefinition: The definition's method fails.
        """
        columns = iter([_column(values) for values in zip(*self._rows.rows, strict=True)])
        here, other, labels = ({name: next(columns) for name, *_ in names} for names in self._form)
        rows = len(self._rows.rows)

        def measure(random: np.random.Generator | None) -> tuple[Mapping[str, float], Mapping[str, float]]:
            sample = slice(None) if random is None else random.integers(0, rows, rows)
            true = _select(labels, sample)
            sides = (_select(side, sample) for side in (here, other))
            first, second = (_metrics(definition, signature, side, true) for side in sides)
            return first, second

        here_metrics, other_metrics = measure(None)
        names = [name for name in sorted(here_metrics) if name in other_metrics]
        draws = resample_metrics(measure, names)
        return ComparedMetrics(
            signature=signature,
            labelled=self._rows.seen,
            measured=rows,
            metrics=tuple(
                MeasuredTwice(
                    name=name,
                    here=finite(here_metrics[name]),
                    other=finite(other_metrics[name]),
                    here_interval=_interval(draws, name, lambda pair: pair[:, 0]),
                    other_interval=_interval(draws, name, lambda pair: pair[:, 1]),
                    difference_interval=_interval(draws, name, lambda pair: pair[:, 0] - pair[:, 1]),
                    lower_is_better=lower_is_better(definition, name),
                )
                for name in names
            ),
        )


def _metrics(definition: ModelDefinition, signature: str, answers: _Side, labels: _Side) -> dict[str, float]:
    with running_user_code(method_of(definition, f"served_metrics, signature {signature!r},")):
        metrics = definition.served_metrics(signature, answers, labels)
        return {name: float(value) for name, value in metrics.items()}


def _kind(values: np.ndarray) -> str:
    """The kind of values; all numbers are of one kind, because JSON mixes integers and floats."""
    return "number" if values.dtype.kind in "biuf" else values.dtype.kind


def _select(side: _Side, rows: Any) -> _Side:
    return {name: values[rows] for name, values in side.items()}


def _column(values: tuple[Any, ...]) -> np.ndarray:
    if not isinstance(values[0], bytes):
        return np.stack(values)
    texts = np.empty(len(values), object)
    texts[:] = values
    return texts


def _interval(draws: Mapping[str, np.ndarray], name: str, side: Any) -> tuple[float, ...]:
    if name not in draws:
        return ()
    low, high = np.percentile(side(draws[name]), (_LOWER, _UPPER))
    return float(low), float(high)


def finite(value: float) -> float | None:
    """The value; None if it is NaN or infinite."""
    return value if math.isfinite(value) else None
