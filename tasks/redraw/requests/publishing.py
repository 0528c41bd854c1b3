"""Requests for the model bucket: to publish, to change the live version, to pin and to prune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redraw.errors import InvalidRequest
from redraw.names import ModelName, Words
from redraw.records import ExportedModel, ValidationReport
from redraw.records.times import is_time
from redraw.requests.request import BY, Request, flag
from redraw.uri import BucketUri, LocalPath, Uri

LiveLabel = Literal["stable", "canary"]
OnFailure = Literal["report", "roll-back"]

_ALLOW_REJECTED = "reason for making a version live that somebody rolled back from"
# A week, in seconds.
_LONGEST_ROLLOUT = 604_800
_PUBLIC_KEY = (
    "file of the public key or certificates that must confirm the signature, or sigstore:IDENTITY,ISSUER"
    " (default: $REDRAW_VERIFY_KEY)"
)


@dataclass(frozen=True, kw_only=True)
class PushRequest(Request):
    """Publish a validated export as an immutable version."""

    model: ModelName = flag("the definition's name")
    saved_model: ExportedModel | Uri = flag("the SavedModel's folder or gs:// URI")
    report: ValidationReport | Uri = flag("file or gs:// URI of the validation's report")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    make_live: bool = flag(
        "make the version live, unless the live one has newer weights or is significantly better",
        default=False,
    )
    allow_rejected: Words | None = flag(_ALLOW_REJECTED, default=None)
    signing_key: str | None = flag(
        "what to sign the version with: a private key's file, its pkcs11: URI, or sigstore", default=None
    )
    signing_certificate: str | None = flag(
        "file of the key's certificate in PEM, then those that issued it up to the root", default=None
    )
    by: Words | None = flag(BY, default=None)
    dag_run: str | None = flag("the Airflow run that asks for it, as DAG/RUN", default=None)
    try_number: int | None = flag("which try of its Airflow task this is", default=None)
    approved_by: str | None = flag("who approved it, for the release record", default=None)

    def __post_init__(self) -> None:
        """Refuse a certificate without its key, and a PIN that others could read."""
        super().__post_init__()
        if "pin-value=" in (self.signing_key or ""):
            raise InvalidRequest(
                "push request: signing_key: expected a pkcs11: URI with the file of its PIN, got a URI"
                " with the PIN itself, which process lists and task pages show. Write"
                " pin-source=file:/PATH instead."
            )
        if self.signing_certificate and self.signing_key in (None, "", "sigstore"):
            raise InvalidRequest(
                "push request: signing_certificate: expected a signing_key together with the certificate,"
                " got only the certificate. Set signing_key too."
            )


@dataclass(frozen=True, kw_only=True)
class LiveRequest(Request):
    """Show which version is live, or change it."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    set: int | None = flag("make this version live", default=None)
    previous: bool = flag("roll back: make the version live that was live before", default=False)
    from_version: int | None = flag(
        "with --previous: the version to leave; nothing changes if it was left already",
        default=None,
        key="from",
    )
    label: LiveLabel | None = flag("put this label on the version, instead of making it live", default=None)
    remove_label: bool = flag("take the label away", default=False)
    allow_older: Words | None = flag(
        "reason for making a version live that is older than the live one", default=None
    )
    allow_rejected: Words | None = flag(_ALLOW_REJECTED, default=None)
    reason: Words | None = flag("why, for the history", default=None)
    by: Words | None = flag(BY, default=None)
    public_key: str | None = flag(_PUBLIC_KEY, default=None)

    def __post_init__(self) -> None:
        """Refuse options that exclude each other."""
        super().__post_init__()
        actions = [self.set is not None, self.previous, self.remove_label]
        if sum(actions) > 1:
            raise InvalidRequest(
                f"live request: expected at most one of set, previous and remove_label, got {sum(actions)}."
                " Remove the others."
            )
        if self.from_version is not None and not self.previous:
            raise InvalidRequest(
                "live request: from: expected previous together with from, got only from. Set previous too."
            )
        lacks_version = self.label is not None and self.set is None and not self.remove_label
        if lacks_version or (self.remove_label and self.label is None):
            raise InvalidRequest(
                "live request: label: expected a label together with set or remove_label, got only one of"
                " them. Set both."
            )
        if self.remove_label and self.label == "stable":
            raise InvalidRequest(
                "live request: remove_label: expected canary, got stable, which always is the label of the"
                " live version. To move it, make another version live."
            )


@dataclass(frozen=True, kw_only=True)
class PruneRequest(Request):
    """Remove old versions; only lists them, unless --apply is given."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    keep: int | None = flag("keep this many versions, those with the newest weights", default=None)
    keep_days: float | None = flag("keep versions pushed in the last KEEP_DAYS days", default=None)
    apply: bool = flag("do it (default: only show what would go)", default=False)
    by: Words | None = flag(BY, default=None)

    def __post_init__(self) -> None:
        """Demand a rule that keeps something."""
        super().__post_init__()
        if self.keep is None and self.keep_days is None:
            raise InvalidRequest(
                "prune request: expected keep, keep_days or both, got neither. Set keep or keep_days."
            )
        for name, value in (("keep", self.keep), ("keep_days", self.keep_days)):
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidRequest(
                    f"prune request: {name}: expected 0 or more, got {value}. Correct the value."
                )


@dataclass(frozen=True, kw_only=True)
class RecoverRequest(Request):
    """Restore which version is live after its objects were lost; only shows it, unless --apply is given."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    apply: bool = flag("write the objects (default: only show the pointer)", default=False)


@dataclass(frozen=True, kw_only=True)
class PinRequest(Request):
    """Protect a version from prune, or end its protection."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int = flag("the version to pin")
    unpin: bool = flag("remove the pin", default=False)
    reason: Words | None = flag("why; needed to pin", default=None)
    by: Words | None = flag(BY, default=None)

    def __post_init__(self) -> None:
        """Demand a reason, because nobody dares to remove an unexplained pin."""
        super().__post_init__()
        if not self.unpin and not self.reason:
            raise InvalidRequest(
                "pin request: reason: expected the reason for the pin, got none. Set reason."
            )


@dataclass(frozen=True, kw_only=True)
class LogToMlflowRequest(Request):
    """Log a published version to MLflow ($MLFLOW_TRACKING_URI); its alias `live` follows the live version."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int | None = flag("the version to log (default: the live one)", default=None)


@dataclass(frozen=True, kw_only=True)
class MirrorRequest(Request):
    """Copy the live versions into a model server's folder, and write its models.config."""

    bucket: BucketUri = flag("gs:// URI of the model bucket")
    out: LocalPath = flag("folder that the server reads; nobody else writes there")
    model: tuple[ModelName, ...] = flag(
        "a model to mirror; may be repeated (default: all with a definition)", default=()
    )
    verify_all: bool = flag("read every mirrored byte again, not only what changed since", default=False)


@dataclass(frozen=True, kw_only=True)
class VerifyRequest(Request):
    """Check a published version against its record, from the objects to the signature."""

    uri: Uri = flag("gs://…/MODEL/VERSION", positional=True)
    public_key: str | None = flag(_PUBLIC_KEY, default=None)


@dataclass(frozen=True, kw_only=True)
class PassportRequest(Request):
    """Write a version's model card, attestations, bill of materials and deployment files into a folder."""

    uri: Uri = flag("gs://…/MODEL/VERSION", positional=True)
    out: LocalPath = flag("folder for the files; those of the same names are replaced")
    public_key: str | None = flag(_PUBLIC_KEY, default=None)


@dataclass(frozen=True, kw_only=True)
class RolloutRequest(Request):
    """Wait until model servers have a version and answer as recorded."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    version: int | None = flag("the version (default: the live one)", default=None)
    servers: tuple[str, ...] = flag(
        "grpc://, http://, kserve+http:// or k8s:// server, or vertex:// endpoint; may be repeated, or have"
        " commas in between (default: $REDRAW_SERVERS)",
        default=(),
    )
    timeout: float = flag("seconds that the servers have (default: 300)", default=300.0)
    tolerance: float | None = flag(
        "how much floats may differ, absolute and relative (default: as recorded)", default=None
    )
    on_failure: OnFailure = flag(
        "report (the default), or roll-back: make the previous version live again, if this one still is live",
        default="report",
    )
    reason: Words | None = flag("why, for the history of a roll-back", default=None)
    by: Words | None = flag(BY, default=None)
    public_key: str | None = flag(_PUBLIC_KEY, default=None)

    def __post_init__(self) -> None:
        """Demand finite numbers."""
        super().__post_init__()
        if not 0 < self.timeout <= _LONGEST_ROLLOUT:
            raise InvalidRequest(
                f"rollout request: timeout: expected more than 0 and at most {_LONGEST_ROLLOUT} s, got"
                f" {self.timeout:g}. Correct the timeout."
            )
        if self.tolerance is not None and not 0 <= self.tolerance < float("inf"):
            raise InvalidRequest(
                f"rollout request: tolerance: expected 0 or more, got {self.tolerance}. Correct the"
                " tolerance."
            )


@dataclass(frozen=True, kw_only=True)
class ReleasesRequest(Request):
    """List a model's published versions."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")


@dataclass(frozen=True, kw_only=True)
class EventsRequest(Request):
    """List the changes of a published model, or send them to the webhooks again."""

    model: ModelName = flag("the definition's name")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    since: str | None = flag("only what changed at this time or later, YYYY-MM-DDTHH:MM:SSZ", default=None)
    deliver: bool = flag(
        "send the events to the webhooks of $REDRAW_WEBHOOKS again, with the same ids", default=False
    )

    def __post_init__(self) -> None:
        """Demand a time in the form of records, which can be compared."""
        super().__post_init__()
        if self.since is not None and not is_time(self.since):
            raise InvalidRequest(
                "events request: since: expected a time such as 2026-01-31T00:00:00Z, got"
                f" {self.since!r:.80}. Correct the time."
            )
