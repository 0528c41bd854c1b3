"""Collect the answers of two versions: a tally for each output, slices, and labelled rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from redraw.definition import ModelDefinition
from redraw.errors import InvalidDefinition
from redraw.inspect.answers.batches import RequestBatch
from redraw.inspect.answers.comparing import is_float
from redraw.inspect.answers.metrics import LabelledRows
from redraw.inspect.answers.pair import AnsweredBatch
from redraw.inspect.answers.tally import OutputTally
from redraw.names import ModelName
from redraw.records import Signature
from redraw.records.results import AnswerComparison, AnswerSlice, ComparedMetrics, RequestSource

_MOST_VALUES, _LONGEST = 50, 60
_OTHERS = "other values"
_LABEL = "label:"
# A value with its type.
_Value = tuple[type, Any]


def common_signatures(
    here: Mapping[str, Signature], other: Mapping[str, Signature], names: tuple[str, str]
) -> tuple[dict[str, Signature], list[str]]:
    """The signatures that take the same requests, and notes on what only one of two versions has."""
    common, notes = dict[str, Signature](), list[str]()
    for name in sorted(here.keys() | other.keys()):
        if name not in here or name not in other:
            notes.append(f"only {names[name not in here]} has signature {name!r}")
        elif forms := _inputs_apart(here[name], other[name]):
            notes.append(f"signature {name!r} takes {forms[0]} in {names[0]} and {forms[1]} in {names[1]}")
        else:
            common[name] = here[name]
            outputs = (here[name].outputs.keys(), other[name].outputs.keys())
            notes += [
                f"only {names[side]} has output {output!r} of signature {name!r}"
                for side in (0, 1)
                for output in sorted(outputs[side] - outputs[1 - side])
            ]
    return common, notes


def _inputs_apart(here: Signature, other: Signature) -> tuple[str, str] | None:
    """The inputs of both in words, if requests to one do not fit the other."""
    forms = [{name: spec.dtype for name, spec in side.inputs.items()} for side in (here, other)]
    if forms[0] == forms[1]:
        return None
    first, second = (", ".join(f"{n} ({dtype})" for n, dtype in sorted(form.items())) for form in forms)
    return first, second


class ComparisonTally:
    """Collects the results of a comparison.

    Args:
        tolerance: How much floats may differ.
        by: The names by which `SliceTally` slices rows.
    """

    def __init__(self, tolerance: float, by: Sequence[str] = ()) -> None:
        self.rows = 0
        self._tolerance = tolerance
        self._sources = Counter[str]()
        self._outputs: dict[tuple[str, str], OutputTally] = {}
        self._slices = SliceTally(by)
        self._labelled: dict[str, LabelledRows] = {}

    @property
    def has_labels(self) -> bool:
        """Whether some rows have labels."""
        return bool(self._labelled)

    def add(self, answered: AnsweredBatch) -> None:
        """Count the answers to more rows."""
        batch, changed = answered.batch, {}
        for name in sorted(answered.here.keys() & answered.other.keys()):
            key = (batch.signature, name)
            if key not in self._outputs:
                self._outputs[key] = OutputTally(*key, self._tolerance)
            changed[name] = self._outputs[key].add(batch, answered.here[name], answered.other[name])
        self.rows += batch.rows
        self._sources[batch.source] += batch.rows
        self._slices.add(batch, changed)
        if batch.labels:
            self._labelled.setdefault(batch.signature, LabelledRows()).add(answered)

    def result(
        self,
        model: ModelName,
        versions: tuple[int | None, int],
        definition: ModelDefinition | None,
        notes: Sequence[str] = (),
    ) -> AnswerComparison:
        """The record of the comparison.

        Args:
            model: The definition's name.
            versions: The first and the other version.
            definition: Measures the metrics of labelled rows; None to measure none.
            notes: What was not compared.
        """
        left_out = list(notes)
        left_out += [f"no request has {name!r} to group rows by" for name in self._slices.missing()]
        metrics = [] if definition is None else self._measure(definition, left_out)
        return AnswerComparison(
            model=model,
            version=versions[0],
            other=versions[1],
            tolerance=self._tolerance,
            rows=self.rows,
            sources=tuple(RequestSource(name=name, rows=rows) for name, rows in self._sources.items()),
            outputs=tuple(self._outputs[key].result() for key in sorted(self._outputs)),
            slices=tuple(self._slices.result()),
            metrics=tuple(metrics),
            left_out=tuple(left_out),
        )

    def _measure(self, definition: ModelDefinition, left_out: list[str]) -> list[ComparedMetrics]:
        metrics = list[ComparedMetrics]()
        for signature, rows in sorted(self._labelled.items()):
            if rows.left_out:
                left_out.append(
                    f"metrics of signature {signature!r}: {rows.left_out} rows are left out, whose labels"
                    " have another shape than the first row's"
                )
            try:
                metrics.append(rows.measure(definition, signature))
            except InvalidDefinition as err:
                left_out.append(f"metrics of signature {signature!r}: {err}")
        return metrics


class SliceTally:
    """Counts the rows of slices, for all signatures.

    Args:
        names: The names to slice by, in addition to the source of rows and labels that are classes: inputs,
            fields of recorded requests, or `label:OUTPUT`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        # Signature and name to the number of each value, and to the rows and changed rows by that number.
        self._values: dict[tuple[str, str], dict[_Value, int]] = {}
        self._rows: dict[tuple[str, str], np.ndarray] = {}
        self._changed: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        self._present = set[str]()

    def add(self, batch: RequestBatch, changed: Mapping[str, np.ndarray]) -> None:
        """Count more rows.

        Args:
            batch: The requests of the rows.
            changed: Output name to which of the rows changed, [rows] of bool.
        """
        self._count(batch, "source", [batch.source] * batch.rows, changed)
        labels = {f"{_LABEL}{name}" for name, label in batch.labels.items() if not is_float(label.dtype)}
        for name in dict.fromkeys([*self._names, *sorted(labels)]):
            if (values := _values_of(batch, name)) is not None:
                self._present.add(name)
                self._count(batch, name, values, changed)

    def _count(
        self, batch: RequestBatch, name: str, values: Sequence[Any], changed: Mapping[str, np.ndarray]
    ) -> None:
        key = (batch.signature, name)
        value_numbers = self._values.setdefault(key, {})
        numbers = np.array([_number(value_numbers, value) for value in values])
        self._rows[key] = self._rows.get(key, 0) + np.bincount(numbers, minlength=_MOST_VALUES + 1)
        counts = self._changed.setdefault(key, {})
        for output, rows in changed.items():
            more = np.bincount(numbers[rows], minlength=_MOST_VALUES + 1)
            counts[output] = counts.get(output, 0) + more

    def missing(self) -> list[str]:
        """The names that no request had."""
        return [name for name in self._names if name not in self._present]

    def result(self) -> Iterator[AnswerSlice]:
        """A slice for each value, the most frequent first; none for a name with a single value."""
        for key, value_numbers in self._values.items():
            rows, names = self._rows[key], _format_values(value_numbers)
            if len(value_numbers) == 1 and key[1] not in self._names:
                continue
            for number in np.argsort(-rows, kind="stable").tolist():
                if rows[number]:
                    yield AnswerSlice(
                        signature=key[0],
                        by=key[1],
                        value=names.get(number, _OTHERS),
                        rows=int(rows[number]),
                        changed={name: int(n[number]) for name, n in sorted(self._changed[key].items())},
                    )


def _number(value_numbers: dict[_Value, int], value: Any) -> int:
    """The number of a value; once there are enough values, all new ones share a number."""
    # Python considers True, 1 and 1.0 equal.
    kind = str if isinstance(value, bytes) else type(value)
    # A key must be short, hashable and equal to itself, which NaN is not.
    if isinstance(value, str | bytes | list | dict) or value != value:
        value = _to_text(value)
    key = (kind, value)
    number = value_numbers.get(key)
    if number is None:
        number = len(value_numbers)
        if number < _MOST_VALUES:
            value_numbers[key] = number
    return number


def _format_values(value_numbers: Mapping[_Value, int]) -> dict[int, str]:
    """Number to value as text; a text that looks like another value or like "other values" gets quotes."""
    words = Counter(_to_text(value) for _, value in value_numbers)
    words[_OTHERS] += 1
    return {
        number: repr(value) if kind is str and words[value] > 1 else _to_text(value)
        for (kind, value), number in value_numbers.items()
    }


def _values_of(batch: RequestBatch, name: str) -> Sequence[Any] | None:
    """A value for each row; None if the batch has nothing of that name."""
    fields = batch.fields.get(name)
    if fields is not None and any(value is not None for value in fields):
        return fields
    sides = {**batch.inputs, **{f"{_LABEL}{label}": values for label, values in batch.labels.items()}}
    values = sides.get(name)
    return None if values is None or values.size != batch.rows else values.reshape(-1).tolist()


def _to_text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
