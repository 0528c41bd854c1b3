"""What each stage is asked: one dataclass a command, the same from flags and from JSON.

The field's name with hyphens is the flag, its JSON key is the name itself (or
`metadata["key"]`), its comment in `Attributes` is the help. A record is given as a
JSON object, or as the URI where the stage before left it. Only the standard library
is imported here: the operators build these without TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from tasks.errors import InvalidRequest
from tasks.json_codec import JsonMismatch, decode_dataclass, encode_dataclass
from tasks.records import Checkpoint, ExportedModel, TrainingRun, ValidationReport, WeightsKind
from tasks.times import parse_time

__all__ = [
    "AdoptRequest",
    "CheckpointRequest",
    "CheckpointsRequest",
    "ExportRequest",
    "InspectRequest",
    "LiveRequest",
    "ModelsRequest",
    "PinRequest",
    "PredictRequest",
    "PruneRequest",
    "PushRequest",
    "ReexportRequest",
    "ReleasesRequest",
    "Request",
    "TrainRequest",
    "ValidateRequest",
    "VerifyRequest",
]

LiveLabel = Literal["stable", "canary"]

_BY = "who asks for it (default: the user and the machine)"
_PUBLIC_KEY = "file of the public key that must confirm the signature (default: $REDRAW_VERIFY_KEY)"


def _flag(help_text: str, **more: Any) -> Any:
    default = {"default": more.pop("default")} if "default" in more else {}
    return field(**default, metadata={"help": help_text, **more})


def _settle_times(request: Request, command: str, *names: str) -> None:
    for name in names:
        given = getattr(request, name)
        try:
            # The only way to set a field of a frozen dataclass while it is made.
            object.__setattr__(request, name, None if given is None else parse_time(given))
        except ValueError as err:
            raise InvalidRequest(f"{command} request: {name}: {err}. Correct it.") from err


@dataclass(frozen=True, kw_only=True)
class Request:
    """What every request can do: become JSON, and come from it, checked."""

    def to_json(self) -> dict[str, Any]:
        """The request as JSON values."""
        return encode_dataclass(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a request.

        Raises:
            InvalidRequest: A missing or unknown key, or a value of a wrong type.
        """
        command = cls.__name__.removesuffix("Request").lower()
        if not isinstance(value, dict):
            raise InvalidRequest(f"{command} request: expected a JSON object, got {value!r:.60}.")
        try:
            return decode_dataclass(cls, value)
        except JsonMismatch as err:
            raise InvalidRequest(f"{command} request: {err}. Correct the request.") from err


@dataclass(frozen=True, kw_only=True)
class ModelsRequest(Request):
    """List the definitions found and what each serves."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest(Request):
    """Train a model, or carry on where a killed training stopped."""

    model: str = _flag("the definition's name")
    out: str = _flag("folder for checkpoints and metrics; a stopped run in it carries on")
    max_steps: int | None = _flag("steps to train in all (default: the definition's)", default=None)
    warm_start: str | None = _flag(
        "a checkpoint to take the first weights from: its URI, or STEP or STEP-DIGEST of the catalogue",
        default=None,
    )
    catalogue: str | None = _flag(
        "folder or gs:// URI of the catalogue that --warm-start means", default=None
    )
    run: str | None = _flag("a name for the run (default: the folder's)", default=None)

    def __post_init__(self) -> None:
        """Refuse a number of steps that trains nothing."""
        if self.max_steps is not None and self.max_steps < 1:
            raise InvalidRequest(
                f"train request: max_steps: expected at least 1, got {self.max_steps}. Correct it."
            )


@dataclass(frozen=True, kw_only=True)
class CheckpointRequest(Request):
    """Choose one checkpoint of a run, verify it and put it into the catalogue; or one of those there."""

    model: str = _flag("the definition's name")
    catalogue: str = _flag("folder or gs:// URI of the checkpoint catalogue")
    source: TrainingRun | str | None = _flag(
        "the training run's folder (default: choose among the catalogue's, of all runs)",
        key="from",
        default=None,
    )
    step: int | None = _flag("the checkpoint of this step", default=None)
    latest: bool = _flag("the last checkpoint", default=False)
    best: str | None = _flag("the checkpoint with the best value of this metric", default=None)

    def __post_init__(self) -> None:
        """Demand exactly one way to choose."""
        chosen = [self.step is not None, self.latest, self.best is not None]
        if sum(chosen) != 1:
            raise InvalidRequest(
                f"checkpoint request: expected exactly one of step, latest and best, got {sum(chosen)}."
                " Say which checkpoint to take."
            )


@dataclass(frozen=True, kw_only=True)
class AdoptRequest(Request):
    """Find checkpoints that other programs saved, verify them and put them into the catalogue."""

    model: str = _flag("the definition's name")
    source: str = _flag("folder or gs:// URI to look in, or one checkpoint", key="from")
    catalogue: str = _flag("folder or gs:// URI of the checkpoint catalogue")
    recursive: bool = _flag("look in the folders below as well", default=False)
    in_place: bool = _flag("record where the files lie, and copy none", default=False)
    trained_at: str | None = _flag("when they were trained (default: what their files tell)", default=None)

    def __post_init__(self) -> None:
        """Bring the time into a record's form."""
        _settle_times(self, "adopt", "trained_at")


@dataclass(frozen=True, kw_only=True)
class CheckpointsRequest(Request):
    """List a model's checkpoints in the catalogue, the newest weights first."""

    model: str = _flag("the definition's name")
    catalogue: str = _flag("folder or gs:// URI of the checkpoint catalogue")
    from_time: str | None = _flag("those trained at this time or later", default=None)
    to_time: str | None = _flag("those trained before this time", default=None)
    steps: tuple[int, ...] = _flag("those of this step; may be repeated", default=())

    def __post_init__(self) -> None:
        """Bring the times into a record's form."""
        _settle_times(self, "checkpoints", "from_time", "to_time")


@dataclass(frozen=True, kw_only=True)
class ExportRequest(Request):
    """Redraw the graph for inference, restore a checkpoint under it, write a SavedModel."""

    model: str = _flag("the definition's name")
    checkpoint: Checkpoint | str = _flag(
        "the checkpoint's URI: in the catalogue, or any file, prefix or folder that holds one"
    )
    out: str = _flag("folder for the SavedModel; must be absent or empty")
    weights: WeightsKind | None = _flag("which weights to serve (default: the definition's)", default=None)
    step: int | None = _flag("of a folder with several checkpoints the one of this step", default=None)
    allow_non_finite: bool = _flag("export weights that are NaN or infinite all the same", default=False)


@dataclass(frozen=True, kw_only=True)
class ValidateRequest(Request):
    """Examine an export and write a report of every check."""

    model: str = _flag("the definition's name")
    saved_model: ExportedModel | str = _flag("the SavedModel's folder")
    report: str = _flag("file for the report")
    checkpoint: Checkpoint | str | None = _flag(
        "the checkpoint to compare with (default: the one that the export names)", default=None
    )
    against: str | None = _flag(
        "gs:// URI of the model bucket whose live version to compare with", default=None
    )
    allow_breaking: str | None = _flag("why signatures may break the live version's; recorded", default=None)
    waive: tuple[str, ...] = _flag(
        "CHECK=REASON: publish although this check cannot be run; may be repeated", default=()
    )

    @property
    def waivers(self) -> dict[str, str]:
        """Check to reason."""
        return {
            name.strip(): reason.strip() for name, _, reason in (item.partition("=") for item in self.waive)
        }

    def __post_init__(self) -> None:
        """Refuse a waiver without a reason."""
        for item in self.waive:
            name, _, reason = item.partition("=")
            if not name.strip() or not reason.strip():
                raise InvalidRequest(
                    f"validate request: waive: expected CHECK=REASON, got {item!r}. Say which check, and why."
                )


@dataclass(frozen=True, kw_only=True)
class PushRequest(Request):
    """Publish a validated export as an immutable version."""

    model: str = _flag("the definition's name")
    saved_model: ExportedModel | str = _flag("the SavedModel's folder")
    report: ValidationReport | str = _flag("the validation's report")
    bucket: str = _flag("gs:// URI of the model bucket")
    make_live: bool = _flag("make the version live, unless a newer-trained one is", default=False)
    signing_key: str | None = _flag("file of the private key to sign the version with", default=None)
    by: str | None = _flag(_BY, default=None)
    dag_run: str | None = _flag("the Airflow run that asks for it, as DAG/RUN", default=None)
    try_number: int | None = _flag("which try of its Airflow task this is", default=None)


@dataclass(frozen=True, kw_only=True)
class ReexportRequest(Request):
    """Export, validate and publish many checkpoints in one process; nothing becomes live."""

    model: str = _flag("the definition's name")
    checkpoints: tuple[Checkpoint | str, ...] = _flag("a checkpoint's URI; may be repeated")
    bucket: str = _flag("gs:// URI of the model bucket")
    out: str = _flag("folder for scratch and for the validations' reports")
    weights: WeightsKind | None = _flag("which weights to serve (default: the definition's)", default=None)
    waive: tuple[str, ...] = _flag(
        "CHECK=REASON: publish although this check cannot be run; may be repeated", default=()
    )
    by: str | None = _flag(_BY, default=None)
    dag_run: str | None = _flag("the Airflow run that asks", default=None)
    try_number: int | None = _flag("which try of its Airflow task this is", default=None)


@dataclass(frozen=True, kw_only=True)
class LiveRequest(Request):
    """Show which version is live, or change it."""

    model: str = _flag("the definition's name")
    bucket: str = _flag("gs:// URI of the model bucket")
    set: int | None = _flag("make this version live", default=None)
    previous: bool = _flag("make the version live that was before: roll back", default=False)
    label: LiveLabel | None = _flag("put this label on the version, instead of making it live", default=None)
    remove_label: bool = _flag("take the label away", default=False)
    allow_older: str | None = _flag("why a version of older weights than the live one may be", default=None)
    reason: str | None = _flag("why, for the history", default=None)
    by: str | None = _flag(_BY, default=None)
    public_key: str | None = _flag(_PUBLIC_KEY, default=None)

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        asked = [self.set is not None, self.previous, self.remove_label]
        if sum(asked) > 1:
            raise InvalidRequest(
                f"live request: expected at most one of set, previous and remove_label, got {sum(asked)}."
                " Say what to do."
            )
        lacks_version = self.label is not None and self.set is None and not self.remove_label
        if lacks_version or (self.remove_label and self.label is None):
            raise InvalidRequest(
                "live request: expected a label with set or with remove_label, got one without the other."
                " Name the label, and the version to put it on."
            )
        if self.remove_label and self.label == "stable":
            raise InvalidRequest(
                "live request: remove_label: expected canary, got stable, which is the live version's."
                " Make another version live instead."
            )


@dataclass(frozen=True, kw_only=True)
class PruneRequest(Request):
    """Remove old versions; shows what would go, until it is told to apply it."""

    model: str = _flag("the definition's name")
    bucket: str = _flag("gs:// URI of the model bucket")
    keep: int | None = _flag("keep this many of the newest weights", default=None)
    keep_days: float | None = _flag("keep what was pushed in the last so many days", default=None)
    apply: bool = _flag("do it (default: only show what would go)", default=False)
    by: str | None = _flag(_BY, default=None)

    def __post_init__(self) -> None:
        """Demand a rule, and one that keeps something."""
        if self.keep is None and self.keep_days is None:
            raise InvalidRequest(
                "prune request: expected keep, keep_days or both, got none. Say what to keep."
            )
        for name, value in (("keep", self.keep), ("keep_days", self.keep_days)):
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidRequest(f"prune request: {name}: expected 0 or more, got {value}. Correct it.")


@dataclass(frozen=True, kw_only=True)
class PinRequest(Request):
    """Keep a version from being pruned, or no longer."""

    model: str = _flag("the definition's name")
    bucket: str = _flag("gs:// URI of the model bucket")
    version: int = _flag("the version to pin")
    unpin: bool = _flag("take the pin away", default=False)
    reason: str | None = _flag("why; needed to pin", default=None)
    by: str | None = _flag(_BY, default=None)

    def __post_init__(self) -> None:
        """Demand a reason: nobody dares to take away a pin that nothing explains."""
        if not self.unpin and not self.reason:
            raise InvalidRequest(
                "pin request: reason: expected why the version must stay, got none. Give it."
            )


@dataclass(frozen=True, kw_only=True)
class VerifyRequest(Request):
    """Check a published version against its record, from the objects to the signature."""

    uri: str = _flag("gs://…/MODEL/VERSION", positional=True)
    public_key: str | None = _flag(_PUBLIC_KEY, default=None)


@dataclass(frozen=True, kw_only=True)
class ReleasesRequest(Request):
    """List a model's published versions."""

    model: str = _flag("the definition's name")
    bucket: str = _flag("gs:// URI of the model bucket")


@dataclass(frozen=True, kw_only=True)
class PredictRequest(Request):
    """Fetch a published version from its bucket and let it answer the labelled golden examples."""

    model: str = _flag("the definition's name")
    bucket: str = _flag("gs:// URI of the model bucket")
    version: int | None = _flag("the version to ask (default: the live one)", default=None)


@dataclass(frozen=True, kw_only=True)
class InspectRequest(Request):
    """Show what a checkpoint or a SavedModel holds."""

    uri: str = _flag("a checkpoint's file, prefix or folder, or a SavedModel's folder", positional=True)
    step: int | None = _flag("of a folder with several checkpoints the one of this step", default=None)
