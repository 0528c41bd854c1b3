"""Records of published versions and of the live pointer."""

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
    """When (in UTC), by whom and by which rule a version's objects were removed."""

    pruned_at: Time
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Release(Record):
    """One published version. The record does not change until the version is pruned.

    Attributes:
        model: The definition's name.
        version: UTC of the weights' training as `YYYYMMDDhhmmss`, then a revision of two digits.
        uri: The `gs://` folder that a server loads.
        digest: Of the export: SHA-256 over the files' names and contents, in hex.
        size_bytes: Of all its objects.
        signatures: The signatures that it serves.
        checkpoint: The checkpoint of its weights.
        weights: Which of the checkpoint's weights it serves.
        report: The report of its validation, which passed.
        proofs: Which comparisons of answers the validation made; empty in older records.
        previous: The version that was live when it was published.
        pushed_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        ledger: The restore ledger's sums.
        provenance: The code that made it, and who requested it.
        generations: The generation of each object, by its name below the folder.
        pruned: When and why its objects were removed. The record stays, so that nothing else takes its
        number.
        attachments: Attached files such as `report.html`: name to the object, named relative to the bucket.
        signature: Of the rest of the record and of the bucket, by a private key, as a bundle in JSON; empty
            if it was pushed without a key.
        events: The events that were sent to webhooks; only printed.
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
        by: Who requested it.
        reason: Why; empty if no reason was given.
        kind: The kind of change.
        label: For `label` and `unlabel`, the label.
        allow_older: Why a version with older weights than the live one was allowed; otherwise empty.
        allow_rejected: Why a rejected version was allowed; otherwise empty.
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
        previous: The version that was live before it.
        labels: Label to version; `stable` is the live one.
        pinned: Version, in decimal digits, to the reason why it must not be pruned.
        pruning: Versions whose objects are being removed; they cannot become live again.
        history: The last changes, the newest last.
        number: The number of changes so far; 0 if an older version of Redraw wrote the pointer.
        rejected: Version, in decimal digits, to who rolled back from it and why; it becomes live again only
            with a reason.
        events: The events that were sent to webhooks; only printed.
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
        releases: The release records, also of pruned versions.
        unreadable: The release records that are damaged, or that a newer version of Redraw wrote.
    """

    model: ModelName
    live: Version | None
    releases: tuple[Release, ...]
    unreadable: tuple[UnreadableRecord, ...] = ()
