"""Events of a published model, for the records that commands print and for webhooks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from redraw.records.forms import Digest, Label, ShortText, Time, Version
from redraw.uri import Uri

EventKind = Literal["push", "live", "rollback", "label", "unlabel", "pin", "unpin", "prune"]


@dataclass(frozen=True, kw_only=True)
class ModelEvent:
    """One change of a published model, derived from the records in its bucket.

    Attributes:
        kind: The kind of change.
        source: The model: `gs://BUCKET/MODEL`.
        version: The version that was published, made live, marked or removed.
        at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        by: Who requested it.
        reason: Why; empty if no reason was given.
        label: For `label` and `unlabel`, the label.
        digest: The version's; None if its release record cannot be read.
        metrics: Of the version's checkpoint, when it was trained.
        id: Unique for the change, and the same each time that it is announced.
        undelivered: Which webhooks did not accept it, and why.
    """

    kind: EventKind
    source: Uri
    version: Version
    at: Time
    by: str = ""
    reason: str = ""
    label: Label = ""
    digest: Digest | None = None
    metrics: Mapping[ShortText, float | None] = field(default_factory=dict)
    id: ShortText = ""
    undelivered: tuple[str, ...] = ()

    def identified(self, repeat: int = 0) -> ModelEvent:
        """The event with its id.

        Args:
            repeat: The number of equal changes in the same second before it.
        """
        parts = [self.kind, self.source, self.version, self.at, self.by, self.reason, self.label, repeat]
        return replace(self, id=hashlib.sha256(json.dumps(parts, allow_nan=False).encode()).hexdigest())

    def to_cloud_event(self) -> dict[str, Any]:
        """The event as a CloudEvent in JSON's structured mode.

        Source:
            https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
        """
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": str(self.source),
            "type": f"redraw.version.{self.kind}",
            "subject": str(self.version),
            "time": self.at,
            "datacontenttype": "application/json",
            "data": self.data,
        }

    @property
    def data(self) -> dict[str, Any]:
        """The event's data, as JSON values."""
        return {
            "kind": self.kind,
            "model": self.source.name,
            "version": self.version,
            "uri": str(self.source / str(self.version)),
            "digest": self.digest,
            "metrics": dict(self.metrics),
            "by": self.by,
            "reason": self.reason,
            "label": self.label,
        }


def events_field() -> Any:
    """A record's field for the events of the command that prints it; it is neither stored nor compared."""
    return field(default=(), compare=False, metadata={"printed": True})
