"""What is published, and which of it is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from redraw.names import ModelName
from redraw.records.base import Record, UnreadableRecord
from redraw.records.events import ModelEvent, events_field
from redraw.records.files import ListedFile
from redraw.records.forms import (
    AttachmentName,
    Count,
    Digest,
    Label,
    ObjectName,
    ShortText,
    Time,
    Version,
    VersionText,
)
from redraw.records.making import Checkpoint, LedgerSummary, Provenance, WeightsKind
from redraw.records.report import ValidationReport
from redraw.records.signature import Signature
from redraw.uri import Uri

PointerChangeKind = Literal["live", "rollback", "label", "unlabel", "pin", "unpin"]


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """That a version's objects were removed: when in UTC, by whom, and by which rule."""

    pruned_at: Time
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
        proofs: Which comparisons of answers that made; none in records of before.
        previous: The version that was live when it was published.
        pushed_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        ledger: The restore ledger's sums.
        provenance: The code that made it, and who asked for it.
        generations: Each object's, by its name below the folder: which write of it this is.
        pruned: That its objects are gone. The record stays, so that nothing else takes its number.
        attachments: What people look at, `report.html` and the like: name to the object, named
            relative to the bucket. Records of versions that were pushed without have none.
        signature: Of the rest of the record and of the bucket, by a private key, as a bundle in JSON; empty
            if it was pushed without a key.
        events: Printed by the command that made the change: what webhooks were sent.
    """

    model: ModelName
    version: Version
    uri: Uri
    digest: Digest
    size_bytes: Count
    signatures: Mapping[ShortText, Signature]
    checkpoint: Checkpoint
    weights: WeightsKind
    report: ValidationReport
    previous: Version | None
    pushed_at: Time
    ledger: LedgerSummary
    provenance: Provenance
    generations: Mapping[ObjectName, Count]
    proofs: tuple[ShortText, ...] = ()
    pruned: Pruned | None = None
    attachments: Mapping[AttachmentName, ListedFile] = field(default_factory=dict)
    signature: str = ""
    events: tuple[ModelEvent, ...] = events_field()


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
        allow_rejected: Why a version that was rejected was let in; empty for the others.
    """

    version: Version
    changed_at: Time
    by: str = ""
    reason: str = ""
    kind: PointerChangeKind = "live"
    label: Label = ""
    allow_older: str = ""
    allow_rejected: str = ""


@dataclass(frozen=True, kw_only=True)
class LivePointer(Record):
    """Which version is live: the content of `live/<number>.json`, and of its copy `live.json`.

    Attributes:
        model: The definition's name.
        version: The live version; None before the first.
        previous: The one before it.
        labels: Label to version; `stable` is the live one.
        pinned: Version, in decimal digits, to the reason why it must not be pruned.
        pruning: Versions whose objects are being removed; none of them can become live again.
        history: The last changes, the newest last; each number's object has the one that made it.
        number: How many changes were made; 0 of a pointer that an earlier version of Redraw wrote.
        rejected: Version, in decimal digits, to who rolled back from it and why: it does not become live
            again without a reason.
        events: As `Release`.
    """

    schema: ClassVar[int] = 2

    model: ModelName
    version: Version | None
    previous: Version | None
    labels: Mapping[Label, Version] = field(default_factory=dict)
    pinned: Mapping[VersionText, str] = field(default_factory=dict)
    pruning: tuple[Version, ...] = ()
    history: tuple[PointerChange, ...] = ()
    number: Count = 0
    rejected: Mapping[VersionText, str] = field(default_factory=dict)
    events: tuple[ModelEvent, ...] = events_field()


@dataclass(frozen=True, kw_only=True)
class ReleaseList(Record):
    """A model's versions, the newest weights first.

    Attributes:
        model: The definition's name.
        live: The live version; None before the first.
        releases: The release records; those of pruned versions say so.
        unreadable: The release records that are damaged, or that a newer version of Redraw wrote.
    """

    model: ModelName
    live: Version | None
    releases: tuple[Release, ...]
    unreadable: tuple[UnreadableRecord, ...] = ()
