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
    "VerifyReport",
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
