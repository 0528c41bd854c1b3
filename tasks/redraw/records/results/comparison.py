"""Comparisons of two versions of a model: their answers to the same requests, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redraw.names import ModelName
from redraw.records import Record
from redraw.records.forms import Amount, Count, Seconds, Shape, ShortText, Version

# The attachment in which validation compares a version's answers with those of the live version.
ANSWERS_NAME = "answers.json"


@dataclass(frozen=True, kw_only=True)
class RequestSource:
    """Where requests came from, and how many of their rows both versions answered."""

    name: ShortText
    rows: Count


@dataclass(frozen=True, kw_only=True)
class DifferenceBar:
    """A bar of a histogram: the rows that differ by `low` to `high`; both are 0 for equal rows."""

    low: Amount
    high: Amount
    rows: Count


@dataclass(frozen=True, kw_only=True)
class ValueChange:
    """A cell of a confusion table: how many rows have this answer here, and that one of the other version."""

    here: Any
    other: Any
    rows: Count


@dataclass(frozen=True, kw_only=True)
class DifferingAnswer:
    """A row whose answers differ, as JSON values; values that are too large to show are left out.

    Attributes:
        row: The source of the row.
        difference: The largest difference of its elements; None if one of them is no number or infinite.
        inputs: Input name to the request's values.
        here: The version's answer.
        other: The other version's answer.
    """

    row: ShortText
    difference: Amount | None
    inputs: Mapping[str, Any]
    here: Any
    other: Any


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """One output of both versions. The difference of a row is the largest of its elements.

    Attributes:
        signature: The output's signature.
        output: Its name.
        dtype: Of the version's answers, and of the other version's if it differs.
        rows: How many rows were compared.
        changed: How many rows differ beyond the tolerance.
        not_finite: How many rows have an answer that is NaN or infinite in only one version; they count as
            changed, and are left out of the numbers below.
        largest: The largest difference; None for texts.
        mean: The mean difference; None for texts.
        quantiles: `p50`, `p90`, `p99` and `p99.9` of the differences, within 1 %; empty for texts.
        histogram: How many rows differ by how much.
        points: The other version's value and this version's, of one element of some random rows.
        classes: The most frequent pairs of answers, also equal ones, if an answer is one of a few values.
        examples: The rows that differ most.
        misfit: Why some rows could not be compared, such as other shapes; they count as changed.
    """

    signature: ShortText
    output: ShortText
    dtype: ShortText
    rows: Count
    changed: Count
    not_finite: Count = 0
    largest: Amount | None = None
    mean: Amount | None = None
    quantiles: Mapping[ShortText, Amount] = field(default_factory=dict)
    histogram: tuple[DifferenceBar, ...] = ()
    points: tuple[tuple[float, ...], ...] = ()
    classes: tuple[ValueChange, ...] = ()
    examples: tuple[DifferingAnswer, ...] = ()
    misfit: str = ""

    @property
    def share(self) -> float:
        """The share of changed rows; 0 if there are no rows."""
        return self.changed / self.rows if self.rows else 0.0


@dataclass(frozen=True, kw_only=True)
class AnswerSlice:
    """The rows with one value of an input, of a field of recorded requests, or of a label.

    Attributes:
        signature: The rows' signature.
        by: What the rows are grouped by: a name, `label:OUTPUT`, or `source`.
        value: The group's value.
        rows: How many rows there are.
        changed: Output to the number of changed rows.
    """

    signature: ShortText
    by: ShortText
    value: ShortText
    rows: Count
    changed: Mapping[str, Count]


@dataclass(frozen=True, kw_only=True)
class MeasuredTwice:
    """A metric of both versions on the same labelled rows, with 95 % intervals of a paired bootstrap.

    Attributes:
        name: The metric's.
        here: The version's value; None if it is no number.
        here_interval: Its lower and upper bound; empty if it cannot be computed.
        other: The other version's value.
        other_interval: The bounds of the other version's value.
        difference_interval: The bounds of the version's value minus the other version's.
        lower_is_better: Whether less of it is better.
    """

    name: ShortText
    here: float | None
    here_interval: tuple[float, ...]
    other: float | None
    other_interval: tuple[float, ...]
    difference_interval: tuple[float, ...]
    lower_is_better: bool


@dataclass(frozen=True, kw_only=True)
class ComparedMetrics:
    """The metrics of a signature, measured on `measured` random rows of the `labelled` ones."""

    signature: ShortText
    labelled: Count
    measured: Count
    metrics: tuple[MeasuredTwice, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerComparison(Record):
    """The answers of two versions of a model to the same requests, compared.

    Attributes:
        model: The definition's name.
        version: The version; None for an export that is not published.
        other: The version that it is compared with.
        tolerance: How much floats may differ, absolute and relative, before a row counts as changed.
        rows: How many rows both versions answered.
        refused: How many rows the version refused.
        refused_by_other: How many rows the other version refused.
        sources: The sources of the requests.
        outputs: The outputs of both versions.
        slices: Groups of rows.
        metrics: Of the signatures that have labelled rows.
        left_out: What was not compared, and why: outputs of only one version, damaged files, other requests.
        seconds: How long asking and comparing took.
    """

    model: ModelName
    version: Version | None
    other: Version
    tolerance: Amount
    rows: Count
    refused: Count = 0
    refused_by_other: Count = 0
    sources: tuple[RequestSource, ...] = ()
    outputs: tuple[OutputDifference, ...] = ()
    slices: tuple[AnswerSlice, ...] = ()
    metrics: tuple[ComparedMetrics, ...] = ()
    left_out: tuple[str, ...] = ()
    seconds: Seconds = 0.0


@dataclass(frozen=True, kw_only=True)
class VariableDifference:
    """A variable of two versions, a and b, and the difference of its values.

    Attributes:
        key: Its key in the SavedModel's variables.
        dtype: TensorFlow's name of its dtype.
        shape: Its dimensions.
        equal: Whether all bits are equal.
        relative_change: ||a - b|| / ||b||; None for strings, and if b is all zero and a is not.
        largest_change: The largest |a - b| of all elements; None for strings.
        not_finite: Elements that are NaN or infinite in a or b; the other numbers leave them out.
    """

    key: str
    dtype: ShortText
    shape: Shape
    equal: bool
    relative_change: float | None
    largest_change: float | None
    not_finite: Count = 0


@dataclass(frozen=True, kw_only=True)
class UnlikeVariable:
    """A variable of two versions that cannot be compared value by value: `dtype`, `shape` or `partitions`."""

    key: str
    why: str
    dtype: ShortText
    shape: Shape
    other_dtype: ShortText
    other_shape: Shape


@dataclass(frozen=True, kw_only=True)
class WeightDifferences(Record):
    """The differences of the weights of two versions.

    Attributes:
        model: The definition's name.
        version: The version, a.
        other: The version that it is compared with, b.
        variables: Variables of both: the largest relative change first, equal ones last.
        unlike: Variables of both that changed their form.
        only_in_version: Keys that only the version has.
        only_in_other: Keys that only the other version has.
    """

    model: ModelName
    version: Version
    other: Version
    variables: tuple[VariableDifference, ...]
    unlike: tuple[UnlikeVariable, ...]
    only_in_version: tuple[str, ...]
    only_in_other: tuple[str, ...]
