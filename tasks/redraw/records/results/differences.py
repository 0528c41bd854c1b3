"""How far the weights of two versions are apart."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.names import ModelName
from redraw.records import Record
from redraw.records.forms import Count, Shape, ShortText, Version


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
