"""What the commands that only look print: records of what they found.

As `tasks.records`, these are JSON, and need the standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.records import Check, Checkpoint, Record, Signature

__all__ = [
    "AdoptedCheckpoint",
    "AdoptionReport",
    "Answer",
    "AnsweredTensor",
    "BrokenCheckpoint",
    "CheckpointDescription",
    "CheckpointList",
    "MirrorReport",
    "MirroredModel",
    "ModelDescription",
    "ModelList",
    "Prediction",
    "PredictionRow",
    "PruneReport",
    "PrunedVersion",
    "SavedModelDescription",
    "TensorDescription",
    "UnlikeVariable",
    "VariableDifference",
    "VerifyReport",
    "WeightDifferences",
]


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A definition that was found: its name, its first docstring line and its signatures."""

    name: str
    summary: str
    module: str
    signatures: Mapping[str, Signature] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelList(Record):
    """The definitions found in the packages that REDRAW_MODELS lists."""

    models: tuple[ModelDescription, ...]


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """One golden example: what it is labelled, and what the model answered."""

    label: Any
    answer: Any
    correct: bool


@dataclass(frozen=True, kw_only=True)
class Prediction(Record):
    """A published version's answers to the labelled golden examples of its definition."""

    model: str
    version: int
    uri: str
    signature: str
    output: str
    rows: tuple[PredictionRow, ...]


@dataclass(frozen=True, kw_only=True)
class AnsweredTensor:
    """One output: its dtype, its shape, and its values as lists in lists, as requests carry them."""

    dtype: str
    shape: tuple[int, ...]
    values: Any


@dataclass(frozen=True, kw_only=True)
class Answer(Record):
    """What a published version answered to one request.

    Attributes:
        model: The definition's name.
        version: The version that was asked.
        uri: Its folder in the bucket.
        signature: Which of its signatures.
        inputs: Input name to the values that it was asked.
        outputs: Output name to what it answered.
        seconds: How long the answer took.
        load_seconds: How long TensorFlow's C++ loader took.
        fetched: Whether the version had to be fetched from the bucket.
    """

    model: str
    version: int
    uri: str
    signature: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, AnsweredTensor]
    seconds: float
    load_seconds: float
    fetched: bool


@dataclass(frozen=True, kw_only=True)
class TensorDescription:
    """One tensor of a checkpoint: its key, dtype, shape, bytes and role."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    role: str


@dataclass(frozen=True, kw_only=True)
class CheckpointDescription(Record):
    """What `inspect` finds in a checkpoint."""

    uri: str
    format: str
    step: int | None
    shards: int
    size_bytes: int
    tensors: tuple[TensorDescription, ...]


@dataclass(frozen=True, kw_only=True)
class AdoptedCheckpoint:
    """A checkpoint that was found and is now in the catalogue: where it was found, and what it is."""

    uri: str
    step: int
    trained_at: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class BrokenCheckpoint:
    """A checkpoint that was found and cannot be used, and why."""

    uri: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AdoptionReport(Record):
    """What `adopt` found.

    Attributes:
        model: The definition's name.
        catalogue: The folder or `gs://` URI of the catalogue.
        adopted: What was recorded, in the order of their names.
        known: How many more were in the catalogue before.
        broken: What cannot be used.
        seconds: How long it took.
    """

    model: str
    catalogue: str
    adopted: tuple[AdoptedCheckpoint, ...]
    known: int
    broken: tuple[BrokenCheckpoint, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CheckpointList(Record):
    """A model's checkpoints in the catalogue, the newest weights first."""

    model: str
    checkpoints: tuple[Checkpoint, ...]


@dataclass(frozen=True, kw_only=True)
class SavedModelDescription(Record):
    """What `inspect` finds in a SavedModel."""

    uri: str
    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    variables: tuple[TensorDescription, ...]
    operations: Mapping[str, int]
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class PrunedVersion:
    """A version that `prune` removes: the bytes of its objects, and the rule that lets it go."""

    version: int
    size_bytes: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PruneReport(Record):
    """What `prune` keeps and removes.

    Attributes:
        model: The definition's name.
        kept: Version, in decimal digits, to the reasons why it stays.
        removed: What goes, or would go.
        bytes: Of all objects that go, or would go.
        applied: Whether it was done; otherwise this is what would be done.
    """

    model: str
    kept: Mapping[str, str]
    removed: tuple[PrunedVersion, ...]
    bytes: int
    applied: bool


@dataclass(frozen=True, kw_only=True)
class MirroredModel:
    """The versions of a model that a mirror has, and those of them that came in this run."""

    model: str
    versions: tuple[int, ...]
    fetched: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MirrorReport(Record):
    """What `mirror` made of a folder: the models with a live version."""

    out: str
    models: tuple[MirroredModel, ...]


@dataclass(frozen=True, kw_only=True)
class VerifyReport(Record):
    """A published version that is what its record says: every check by name, with its evidence."""

    model: str
    version: int
    uri: str
    checks: tuple[Check, ...]
    passed: bool


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
    dtype: str
    shape: tuple[int, ...]
    equal: bool
    relative_change: float | None
    largest_change: float | None
    not_finite: int = 0


@dataclass(frozen=True, kw_only=True)
class UnlikeVariable:
    """A variable of two versions that cannot be compared value by value: `dtype`, `shape` or `partitions`."""

    key: str
    why: str
    dtype: str
    shape: tuple[int, ...]
    other_dtype: str
    other_shape: tuple[int, ...]


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
        only_in_other: Keys that it has alone.
    """

    model: str
    version: int
    other: int
    variables: tuple[VariableDifference, ...]
    unlike: tuple[UnlikeVariable, ...]
    only_in_version: tuple[str, ...]
    only_in_other: tuple[str, ...]
