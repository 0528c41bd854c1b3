"""What passes from stage to stage: small frozen dataclasses in JSON, never a tensor.

    TrainingRun ─► Checkpoint ─► ExportedModel ─► ValidationReport ─► Release

Only the standard library is imported here: the operators read records in an
interpreter that may have no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks.provenance import MadeBy, Provenance
from tasks.record import Record
from tasks.signature import Signature, TensorSpec

__all__ = [
    "Check",
    "Checkpoint",
    "CheckpointFormat",
    "ExportedModel",
    "LedgerSummary",
    "LivePointer",
    "MadeBy",
    "PointerChange",
    "PointerChangeKind",
    "Provenance",
    "Pruned",
    "Record",
    "Release",
    "ReleaseList",
    "Signature",
    "TensorSpec",
    "TrainingRun",
    "ValidationReport",
    "WeightsKind",
]

WeightsKind = Literal["raw", "average"]
PointerChangeKind = Literal["live", "rollback", "label", "unlabel", "pin", "unpin"]
CheckpointFormat = Literal["tensor_bundle", "saver_v1", "keras", "keras_weights", "keras_h5"]


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Record):
    """What `train` leaves behind: a folder with checkpoints and metrics.

    Attributes:
        model: The definition's name.
        uri: The folder: `run.json`, `checkpoints/`, `metrics.jsonl`, `events/`.
        run: A name for the run, unique for the model.
        step: The last step trained.
        metrics: The last evaluation.
        lower_is_better: The metrics of which `--best` takes the lowest.
        warm_start: The checkpoint that the weights came from, if any.
    """

    model: str
    uri: str
    run: str
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    lower_is_better: tuple[str, ...] = ()
    warm_start: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Record):
    """One whole checkpoint, in the catalogue or wherever it was found.

    Attributes:
        model: The definition's name.
        uri: The folder that holds its files and this record; of one that is in no catalogue, or
            there by reference, its file, or the prefix of its files.
        prefix: The files' common name in the folder, as TensorFlow means it; empty where
            `uri` says it all.
        format: How the files are laid out.
        step: The training step it was saved at.
        trained_at: When it was saved, in UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        digest: SHA-256 over every tensor's key, dtype, shape and checksum, in hex.
        size_bytes: Of all its files.
        metrics: The evaluation at that step.
        run: The training run that saved it.
        averages: Whether it holds a moving average of the weights besides the raw ones.
        lower_is_better: The metrics of which `--best` takes the lowest.
    """

    model: str
    uri: str
    prefix: str
    format: CheckpointFormat
    step: int
    trained_at: str
    digest: str
    size_bytes: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    run: str | None = None
    averages: bool = False
    lower_is_better: tuple[str, ...] = ()

    @property
    def files_uri(self) -> str:
        """What to open: its file, or the prefix of its files."""
        return f"{self.uri.rstrip('/')}/{self.prefix}" if self.prefix else self.uri


@dataclass(frozen=True, kw_only=True)
class LedgerSummary:
    """How many tensors went where; the ledger itself is a file beside the export.

    Attributes:
        served: Variables of the SavedModel, each with its source in the checkpoint.
        dropped: Rule to number of checkpoint tensors that serving does not need.
    """

    served: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ExportedModel(Record):
    """A SavedModel on disk, and what it was made of.

    Attributes:
        model: The definition's name.
        uri: The SavedModel's folder.
        digest: SHA-256 over the files' names and contents, in hex.
        size_bytes: Of all its files.
        signatures: What it serves.
        checkpoint: Where its weights came from.
        weights: Which of the checkpoint's weights it serves.
        ledger: The restore ledger's sums.
        ledger_uri: The restore ledger, a JSON file.
        made_by: The code that made it; None in records of exports that did not say so.
    """

    model: str
    uri: str
    digest: str
    size_bytes: int
    signatures: Mapping[str, Signature]
    checkpoint: Checkpoint
    weights: WeightsKind
    ledger: LedgerSummary
    ledger_uri: str
    made_by: MadeBy | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check of an export and its evidence.

    Attributes:
        name: What is checked, in kebab case; stable, so that a waiver can name it.
        status: `passed`, `failed`, or `not_run` where it could not be done.
        looked_at: What was examined.
        expected: What a good export shows.
        found: What this one shows.
        advice: What to do about it; empty when it passed.
        waived: Why publication goes ahead although the check was not run; empty where it was not waived.
        seconds: How long it took.
    """

    name: str
    status: Literal["passed", "failed", "not_run"]
    looked_at: str
    expected: str
    found: str
    advice: str = ""
    waived: str = ""
    seconds: float = 0.0

    @property
    def admits(self) -> bool:
        """Whether it lets the export pass: it passed, or it was not run and that was waived."""
        return self.status == "passed" or (self.status == "not_run" and bool(self.waived))


@dataclass(frozen=True, kw_only=True)
class ValidationReport(Record):
    """Every check of one export, and the verdict.

    Attributes:
        model: The definition's name.
        digest: Of the export that was examined; a push demands the same.
        checks: Each by name.
        passed: Whether every check passed, or was waived.
        validated_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        waivers: Check to the reason why it may be `not_run`, as they were asked for.
        allow_breaking: Why a breaking change of signatures was wanted; empty where none was.
        against: The live version that it was compared with.
        attachments: Name to URI of what is to be looked at: `report.html`, `graphs.svg`, `graphs.json`.
    """

    model: str
    digest: str
    checks: tuple[Check, ...]
    passed: bool
    validated_at: str
    waivers: Mapping[str, str] = field(default_factory=dict)
    allow_breaking: str = ""
    against: int | None = None
    attachments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """That a version's objects were removed: when in UTC, by whom, and by which rule."""

    pruned_at: str
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Release(Record):
    """One published version: immutable once it is written, until it is pruned.

    Attributes:
        model: The definition's name.
        version: UTC of the weights' training as `YYYYMMDDhhmmss`, then a revision of two digits.
        uri: The `gs://` folder that a server loads.
        digest: As `ExportedModel.digest`.
        size_bytes: Of all its objects.
        signatures: What it serves.
        checkpoint: Where its weights came from.
        weights: Which of the checkpoint's weights it serves.
        report: The validation that let it pass.
        previous: The version that was live when it was published.
        pushed_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        ledger: The restore ledger's sums.
        provenance: The code that made it, and who asked for it.
        generations: Each object's, by its name below the folder: which write of it this is.
        pruned: That its objects are gone. The record stays, so that nothing else takes its number.
    """

    model: str
    version: int
    uri: str
    digest: str
    size_bytes: int
    signatures: Mapping[str, Signature]
    checkpoint: Checkpoint
    weights: WeightsKind
    report: ValidationReport
    previous: int | None
    pushed_at: str
    ledger: LedgerSummary
    provenance: Provenance
    generations: Mapping[str, int]
    pruned: Pruned | None = None


@dataclass(frozen=True, kw_only=True)
class PointerChange:
    """One change of the live pointer.

    Attributes:
        version: Which version was made live, labelled or pinned.
        changed_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        by: Who asked for it.
        reason: Why; empty where nobody said.
        kind: What was done.
        label: Of `label` and `unlabel`: which.
        allow_older: Why a version with older weights than the live one was let in; empty for the others.
    """

    version: int
    changed_at: str
    by: str = ""
    reason: str = ""
    kind: PointerChangeKind = "live"
    label: str = ""
    allow_older: str = ""


@dataclass(frozen=True, kw_only=True)
class LivePointer(Record):
    """Which version is live: the content of `live.json`.

    Attributes:
        model: The definition's name.
        version: The live version; None before the first.
        previous: The one before it.
        labels: Label to version; `stable` is the live one.
        pinned: Version, in decimal digits, to the reason why it must not be pruned.
        pruning: Versions whose objects are being removed; none of them can become live again.
        history: Every change, the newest last.
    """

    model: str
    version: int | None
    previous: int | None
    labels: Mapping[str, int] = field(default_factory=dict)
    pinned: Mapping[str, str] = field(default_factory=dict)
    pruning: tuple[int, ...] = ()
    history: tuple[PointerChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReleaseList(Record):
    """A model's versions, the newest weights first, and which is live; those that were pruned say so."""

    model: str
    live: int | None
    releases: tuple[Release, ...]
