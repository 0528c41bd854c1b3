"""What two versions of a model answered to the same requests, and how far their weights are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redraw.names import ModelName
from redraw.records import Record
from redraw.records.forms import Amount, Count, Seconds, Shape, ShortText, Version

# What validation leaves next to a version: its answers next to those of the version that was live.
ANSWERS_NAME = "answers.json"


@dataclass(frozen=True, kw_only=True)
class RequestSource:
    """Where requests came from, and how many of their rows both versions answered."""

    name: ShortText
    rows: Count


@dataclass(frozen=True, kw_only=True)
class DifferenceBar:
    """A bar of a histogram: the rows that differ by `low` to `high`; of the equal ones both are 0."""

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
    """A row whose answers differ, as JSON values; what is too large to be read is left out.

    Attributes:
        row: Where it came from.
        difference: By how much: the largest of its elements; None if one of them is no number or infinite.
        inputs: Input name to what was asked.
        here: What the version answered.
        other: What the other one answered.
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
        signature: Whose output it is.
        output: Its name.
        dtype: Of the version's answers, and of the other one's if that has another.
        rows: How many rows were compared.
        changed: Those that differ beyond the tolerance.
        not_finite: Those of which one answer is no number, or infinite, and the other is not; they are
            changed, and in no figure below.
        largest: The largest difference; None of texts.
        mean: The mean difference; None of texts.
        quantiles: `p50`, `p90`, `p99` and `p99.9` of the differences, within 1 %; none of texts.
        histogram: How many rows differ by how much.
        points: The other version's value, and this one's, of one element of some rows drawn at random.
        classes: The most frequent pairs of answers, equal ones too, if an answer is one of a few values.
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
        """Which share of the rows is changed; 0 of none."""
        return self.changed / self.rows if self.rows else 0.0


@dataclass(frozen=True, kw_only=True)
class AnswerSlice:
    """The rows of one value: of an input, of a field of recorded requests, or of a label.

    Attributes:
        signature: Whose rows they are.
        by: What they were sorted by: its name, `label:OUTPUT`, or `source`.
        value: The value that they have.
        rows: How many there are.
        changed: Output to how many of them are changed.
    """

    signature: ShortText
    by: ShortText
    value: ShortText
    rows: Count
    changed: Mapping[str, Count]


@dataclass(frozen=True, kw_only=True)
class MeasuredTwice:
    """A metric of both versions by the same labelled rows, with intervals of 95 % by a paired bootstrap.

    Attributes:
        name: The metric's.
        here: Of the version; None for one that is no number.
        here_interval: From and to; empty if it cannot be drawn.
        other: The same of the other version.
        other_interval: As `here_interval`.
        difference_interval: Of the version's value less the other one's.
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
    """The metrics of a signature: those of `measured` rows, drawn at random from the `labelled` ones."""

    signature: ShortText
    labelled: Count
    measured: Count
    metrics: tuple[MeasuredTwice, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerComparison(Record):
    """What two versions of a model answered to the same requests, and how far that is apart.

    Attributes:
        model: The definition's name.
        version: The one; None of an export that is not published.
        other: The other, which it is compared with.
        tolerance: How much floats may differ, absolute and relative, before a row counts as changed.
        rows: How many rows both versions answered.
        refused: How many rows the version refused.
        refused_by_other: How many rows the other one refused.
        sources: Where the requests came from.
        outputs: The outputs of both versions.
        slices: Rows by the values of what they were sorted by.
        metrics: Of the signatures that have labelled rows.
        left_out: What was not compared, and why: outputs that only one has, damaged files, other requests.
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
    """A variable that two versions have, a and b, and how far its values are apart.

    Attributes:
        key: Its key in the SavedModel's variables.
        dtype: TensorFlow's name of it.
        shape: Its dimensions.
        equal: Whether it is the same in every bit.
        relative_change: ||a - b|| / ||b||; None of strings, and where b is all zero and a is not.
        largest_change: The largest |a - b| of all elements; None of strings.
        not_finite: Elements that are NaN or infinite in one of them; they count in no figure.
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
    """How far the weights of a version are from those of another one.

    Attributes:
        model: The definition's name.
        version: The one, a.
        other: The other, b, which is the measure.
        variables: Those of both: the largest relative change first, equal ones last.
        unlike: Those of both that changed their form.
        only_in_version: Keys that the other one has not.
        only_in_other: Keys that only it has.
    """

    model: ModelName
    version: Version
    other: Version
    variables: tuple[VariableDifference, ...]
    unlike: tuple[UnlikeVariable, ...]
    only_in_version: tuple[str, ...]
    only_in_other: tuple[str, ...]
