"""Descriptions of checkpoints, SavedModels, definitions and the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from redraw.names import ModelName
from redraw.records import Checkpoint, Record, Signature, UnreadableRecord
from redraw.records.forms import Count, Digest, Seconds, Shape, ShortText, Time
from redraw.uri import Uri


@dataclass(frozen=True, kw_only=True)
class TensorDescription:
    """One tensor of a checkpoint: its key, dtype, shape, bytes and role."""

    key: str
    dtype: ShortText
    shape: Shape
    size_bytes: Count
    role: str


@dataclass(frozen=True, kw_only=True)
class FoundRecording:
    """A graph that training recorded next to a checkpoint, and what a draft finds in it.

    Attributes:
        uri: Its file.
        command: The command that drafts a definition from it.
        operations: How many operations it has.
        sources: Its inputs: tensor, role and evidence, in words.
        outputs: Tensors that may be outputs, the likeliest first, with the evidence.
        problem: Why it cannot be read; empty if it can.
    """

    uri: Uri
    command: str
    operations: Count = 0
    sources: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckpointDescription(Record):
    """The result of `inspect` for a checkpoint, and for a recorded graph next to it."""

    uri: Uri
    format: str
    step: Count | None
    shards: Count
    size_bytes: Count
    tensors: tuple[TensorDescription, ...]
    recording: FoundRecording | None = None


@dataclass(frozen=True, kw_only=True)
class SavedModelDescription(Record):
    """The result of `inspect` for a SavedModel."""

    uri: Uri
    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    variables: tuple[TensorDescription, ...]
    operations: Mapping[str, Count]
    size_bytes: Count


@dataclass(frozen=True, kw_only=True)
class AdoptedCheckpoint:
    """A checkpoint that `adopt` found and added to the catalogue."""

    uri: str
    step: Count
    trained_at: Time
    digest: Digest


@dataclass(frozen=True, kw_only=True)
class BrokenCheckpoint:
    """A checkpoint that `adopt` found but cannot use, and why."""

    uri: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AdoptionReport(Record):
    """The checkpoints that `adopt` found.

    Attributes:
        model: The definition's name.
        catalogue: The folder or `gs://` URI of the catalogue.
        adopted: Checkpoints that were added, in the order of their names.
        known: How many others were in the catalogue before.
        broken: Checkpoints that cannot be used.
        seconds: How long it took.
    """

    model: ModelName
    catalogue: Uri
    adopted: tuple[AdoptedCheckpoint, ...]
    known: Count
    broken: tuple[BrokenCheckpoint, ...]
    seconds: Seconds


@dataclass(frozen=True, kw_only=True)
class CheckpointList(Record):
    """A model's checkpoints in the catalogue.

    Attributes:
        model: The definition's name.
        checkpoints: Their records, the newest weights first.
        unreadable: The records that are damaged, or that a newer version of Redraw wrote.
    """

    model: ModelName
    checkpoints: tuple[Checkpoint, ...]
    unreadable: tuple[UnreadableRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A definition: its name, its first docstring line and its signatures.

    Attributes:
        trains: Whether it can be trained; False if it only exports.
        problem: Why it cannot be used; empty if it can.
    """

    name: str
    summary: str
    module: str
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    trains: bool = True
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelList(Record):
    """The definitions in the packages that announce some, or that REDRAW_MODELS lists.

    Attributes:
        models: By name, also those that cannot be used.
        problems: Problems of packages that cannot be read at all.
    """

    models: tuple[ModelDescription, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DraftedDefinition(Record):
    """A definition that was drafted from a recorded training graph.

    Attributes:
        model: Its name.
        recording: The file of the recorded graph.
        digest: SHA-256 of that file, in hex.
        path: The module's file; empty if the module is only printed.
        module: The module's text.
        replaced: Changes of the graph, and how often each was made.
    """

    model: ModelName
    recording: Uri
    digest: Digest
    path: str
    module: str
    replaced: Mapping[ShortText, Count]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault of a SavedModel.

    Attributes:
        check: The check of `redraw validate`, or the error, that names it.
        text: What it is, and where.
        heals: Whether drawing the graph again may remove it.
    """

    check: ShortText
    text: str
    heals: bool = False


@dataclass(frozen=True, kw_only=True)
class HealedModel(Record):
    """The result of healing a SavedModel.

    Attributes:
        saved_model: The original SavedModel.
        uri: The healed SavedModel.
        healed: Whether anything changed; if not, it is a copy.
        summary: The changes, in a sentence.
        found: The faults.
        replaced: Changes of the graph, and how often each was made.
        signatures: Name to signature; the names are the original ones.
        rows: How many generated rows were compared with the original model.
        largest_difference: The largest difference between floats.
        size_bytes: The size of the healed SavedModel.
    """

    saved_model: Uri
    uri: Uri
    healed: bool
    summary: str
    found: tuple[Finding, ...]
    replaced: Mapping[ShortText, Count]
    signatures: Mapping[str, Signature]
    rows: Count
    largest_difference: float
    size_bytes: Count


@dataclass(frozen=True, kw_only=True)
class ScannedFiles(Record):
    """The contents of a model's files, as far as they can be read without TensorFlow.

    Attributes:
        uri: The scanned files.
        kind: `SavedModel`, `recording`, or the checkpoint's format.
        made_by: The program that wrote it; empty if it does not say.
        holds: Its contents, one line each.
        refused: Contents that would be refused, and by which check or error.
    """

    uri: Uri
    kind: ShortText
    made_by: ShortText
    holds: tuple[str, ...]
    refused: tuple[Finding, ...]
