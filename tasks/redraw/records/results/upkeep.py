"""What was pruned, mirrored, verified and written about what is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redraw.names import ModelName
from redraw.records import Check, Record
from redraw.records.events import ModelEvent, events_field
from redraw.records.forms import Count, Digest, FileName, ShortText, Version, VersionText
from redraw.uri import Uri


@dataclass(frozen=True, kw_only=True)
class PrunedVersion:
    """A version that `prune` removes: the bytes of its objects, and the rule that lets it go."""

    version: Version
    size_bytes: Count
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
        notes: What the bucket keeps of what is removed, or bills although it is removed.
        events: As `Release`.
    """

    model: ModelName
    kept: Mapping[VersionText, str]
    removed: tuple[PrunedVersion, ...]
    bytes: Count
    applied: bool
    notes: tuple[str, ...] = ()
    events: tuple[ModelEvent, ...] = events_field()


@dataclass(frozen=True, kw_only=True)
class MirroredModel:
    """The versions of a model that a mirror has, and those of them that came in this run."""

    model: ModelName
    versions: tuple[Version, ...]
    fetched: tuple[Version, ...]


@dataclass(frozen=True, kw_only=True)
class MirrorReport(Record):
    """What `mirror` made of a folder: the models with a live version."""

    out: str
    models: tuple[MirroredModel, ...]


@dataclass(frozen=True, kw_only=True)
class VerifyReport(Record):
    """A published version that is what its record says: every check by name, with its evidence."""

    model: ModelName
    version: Version
    uri: Uri
    checks: tuple[Check, ...]
    passed: bool


@dataclass(frozen=True, kw_only=True)
class EventList(Record):
    """What has changed about a published model, the oldest first."""

    model: ModelName
    events: tuple[ModelEvent, ...]


@dataclass(frozen=True, kw_only=True)
class LoggedVersion(Record):
    """What MLflow has of a version.

    Attributes:
        model: The definition's name, and that of the experiment and of the registered model.
        version: The version.
        uri: The `gs://` folder that a server loads.
        digest: As `ExportedModel.digest`.
        run: The id of its run.
        registered: The number of its registered version.
        live: The registered version that the alias `live` names; None if no version is live.
    """

    model: ModelName
    version: Version
    uri: Uri
    digest: Digest
    run: ShortText
    registered: Count
    live: Count | None


@dataclass(frozen=True, kw_only=True)
class Passport(Record):
    """What `passport` wrote about a version.

    Attributes:
        model: The definition's name.
        version: The version.
        uri: The `gs://` folder that a server loads.
        out: The folder that the files are in.
        files: Each file's name to its SHA-256.
    """

    model: ModelName
    version: Version
    uri: Uri
    out: str
    files: Mapping[FileName, Digest]
