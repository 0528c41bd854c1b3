"""Records of commands that look after published versions."""

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
    """A version that `prune` removes: the bytes of its objects, and the rule."""

    version: Version
    size_bytes: Count
    reason: str


@dataclass(frozen=True, kw_only=True)
class PruneReport(Record):
    """The versions that `prune` keeps and removes.

    Attributes:
        model: The definition's name.
        kept: Version, in decimal digits, to the reasons why it stays.
        removed: Versions that are removed, or would be.
        bytes: Of all objects that are removed, or would be.
        applied: Whether the versions were removed; otherwise this is only a plan.
        notes: Removed objects that the bucket still keeps or bills.
        events: The events that were sent to webhooks; only printed.
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
    """The versions of a model in a mirror, and those that this run downloaded."""

    model: ModelName
    versions: tuple[Version, ...]
    fetched: tuple[Version, ...]


@dataclass(frozen=True, kw_only=True)
class MirrorReport(Record):
    """The result of `mirror`: the models with a live version."""

    out: str
    models: tuple[MirroredModel, ...]


@dataclass(frozen=True, kw_only=True)
class VerifyReport(Record):
    """The checks of a verified version, with their evidence."""

    model: ModelName
    version: Version
    uri: Uri
    checks: tuple[Check, ...]
    passed: bool


@dataclass(frozen=True, kw_only=True)
class EventList(Record):
    """The events of a published model, the oldest first."""

    model: ModelName
    events: tuple[ModelEvent, ...]


@dataclass(frozen=True, kw_only=True)
class LoggedVersion(Record):
    """A version in MLflow.

    Attributes:
        model: The definition's name, and that of the experiment and of the registered model.
        version: The version.
        uri: The `gs://` folder that a server loads.
        digest: SHA-256 over the files' names and contents, in hex.
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
    """The files that `passport` wrote about a version.

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
