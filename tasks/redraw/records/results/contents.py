"""What checkpoints and SavedModels hold, and what the catalogue has of them."""

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
    """A graph that training recorded next to a checkpoint, and what a draft would find in it.

    Attributes:
        uri: Where it lies.
        command: What drafts a definition from it.
        operations: How many it has.
        sources: What it is given: tensor, role and evidence, in words.
        outputs: What may answer, the likeliest first, with the evidence.
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
    """What `inspect` finds in a checkpoint, and next to it."""

    uri: Uri
    format: str
    step: Count | None
    shards: Count
    size_bytes: Count
    tensors: tuple[TensorDescription, ...]
    recording: FoundRecording | None = None


@dataclass(frozen=True, kw_only=True)
class SavedModelDescription(Record):
    """What `inspect` finds in a SavedModel."""

    uri: Uri
    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    variables: tuple[TensorDescription, ...]
    operations: Mapping[str, Count]
    size_bytes: Count


@dataclass(frozen=True, kw_only=True)
class AdoptedCheckpoint:
    """A checkpoint that was found and is now in the catalogue: where it was found, and what it is."""

    uri: str
    step: Count
    trained_at: Time
    digest: Digest


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
    """A definition that was found: its name, its first docstring line and its signatures.

    Attributes:
        trains: Whether it can be trained; False for one that only exports.
        problem: Why it cannot be used; empty where it can.
    """

    name: str
    summary: str
    module: str
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    trains: bool = True
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelList(Record):
    """The definitions found in the packages that announce some, or that REDRAW_MODELS lists.

    Attributes:
        models: By name, those that cannot be used too.
        problems: What is wrong with packages that cannot be read at all.
    """

    models: tuple[ModelDescription, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DraftedDefinition(Record):
    """A definition that was drafted from what training recorded.

    Attributes:
        model: Its name.
        recording: Where the recorded graph is read from.
        digest: SHA-256 of that file, in hex.
        path: Where the module was written; empty where it is only printed.
        module: The module's text.
        replaced: What was done to the graph, and how many times.
    """

    model: ModelName
    recording: Uri
    digest: Digest
    path: str
    module: str
    replaced: Mapping[ShortText, Count]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that a good SavedModel has not.

    Attributes:
        check: The check of `redraw validate`, or the error, that names it.
        text: What it is, and where.
        heals: Whether drawing the graph again may take it away.
    """

    check: ShortText
    text: str
    heals: bool = False


@dataclass(frozen=True, kw_only=True)
class HealedModel(Record):
    """What healing made of a SavedModel.

    Attributes:
        saved_model: What it was made of.
        uri: Where the good one is.
        healed: Whether anything had to change; if not, it is a copy.
        summary: What was done, in a sentence.
        found: What was wrong.
        replaced: What was done to the graph, and how many times.
        signatures: Name to signature: the names of before.
        rows: How many generated rows were compared with the untouched model.
        largest_difference: How much floats differed at most.
        size_bytes: How large it is now.
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
    """What is in a model's files, as far as they say so without TensorFlow.

    Attributes:
        uri: What was scanned.
        kind: `SavedModel`, `recording`, or the checkpoint's format.
        made_by: The program that wrote it; empty where it does not say.
        holds: What is in it, a line each.
        refused: What would be refused, and by which check or error.
    """

    uri: Uri
    kind: ShortText
    made_by: ShortText
    holds: tuple[str, ...]
    refused: tuple[Finding, ...]
