"""Put together what two versions answered: a tally for each output, slices, and labelled rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from redraw.errors import InvalidDefinition
from redraw.inspect.answers.metrics import LabelledRows
from redraw.inspect.answers.pair import AnsweredBatch
from redraw.inspect.answers.slices import SliceTally
from redraw.inspect.answers.tally import OutputTally
from redraw.names import ModelName
from redraw.records import Signature
from redraw.records.results import AnswerComparison, ComparedMetrics, RequestSource

if TYPE_CHECKING:
    from redraw.definition import ModelDefinition


def common_signatures(
    here: Mapping[str, Signature], other: Mapping[str, Signature], names: tuple[str, str]
) -> tuple[dict[str, Signature], list[str]]:
    """The signatures that take the same requests, and what only one of two versions has, in words."""
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
    """The inputs of both, if a request to one is none to the other."""
    forms = [{name: spec.dtype for name, spec in one.inputs.items()} for one in (here, other)]
    if forms[0] == forms[1]:
        return None
    first, second = (", ".join(f"{n} ({dtype})" for n, dtype in sorted(form.items())) for form in forms)
    return first, second


class ComparisonTally:
    """All that is counted of a comparison.

    Args:
        tolerance: How much floats may differ.
        by: What rows are sorted by, as `SliceTally` takes it.
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
        """Count the answers to some more rows."""
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
        """What was found.

        Args:
            model: The definition's name.
            versions: The one and the other.
            definition: Says which metrics the labelled rows have; None for none.
            notes: What was not compared.
        """
        left_out = list(notes)
        left_out += [f"no request has {name!r} to sort rows by" for name in self._slices.missing()]
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
        found = list[ComparedMetrics]()
        for signature, rows in sorted(self._labelled.items()):
            if rows.left_out:
                left_out.append(
                    f"metrics of signature {signature!r}: {rows.left_out} rows whose labels have another form"
                    " than the first"
                )
            try:
                found.append(rows.measure(definition, signature))
            except InvalidDefinition as err:
                left_out.append(f"metrics of signature {signature!r}: {err}")
        return found
