"""Requests to export, to validate, to draft and to inspect."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.errors import InvalidRequest
from redraw.names import ModelName, Words
from redraw.records import Checkpoint, ExportedModel, WeightsKind
from redraw.requests.request import BY, WAIVE, Request, flag
from redraw.uri import BucketUri, Uri


@dataclass(frozen=True, kw_only=True)
class ModelsRequest(Request):
    """List the definitions found and what each serves."""


@dataclass(frozen=True, kw_only=True)
class ExportRequest(Request):
    """Draw the inference graph, put a checkpoint's weights into it, and write a SavedModel."""

    model: ModelName = flag("the definition's name")
    checkpoint: Checkpoint | Uri = flag(
        "the checkpoint's URI: in the catalogue, or any file, prefix or folder that holds one"
    )
    out: Uri = flag("folder or gs:// URI for the SavedModel; must be absent or empty")
    weights: WeightsKind | None = flag("which weights to serve (default: the definition's)", default=None)
    step: int | None = flag("the checkpoint of this step, if the folder holds several", default=None)
    allow_non_finite: bool = flag("export even if weights are NaN or infinite", default=False)


@dataclass(frozen=True, kw_only=True)
class ValidateRequest(Request):
    """Run every check on an export, and write a report."""

    model: ModelName = flag("the definition's name")
    saved_model: ExportedModel | Uri = flag("the SavedModel's folder or gs:// URI")
    report: Uri = flag("file or gs:// URI for the report")
    checkpoint: Checkpoint | Uri | None = flag(
        "the checkpoint to compare with (default: the one that the export names)", default=None
    )
    against: BucketUri | None = flag(
        "gs:// URI of the model bucket that has the live version to compare with", default=None
    )
    reference: Uri | None = flag(
        "a SavedModel, recorded requests (JSON lines, PredictionLog TFRecords) or a recorded graph whose"
        " answers the export has to give (default: the definition's reference)",
        default=None,
    )
    allow_breaking: Words | None = flag(
        "reason for signatures that break clients of the live version; recorded", default=None
    )
    waive: tuple[Words, ...] = flag(WAIVE, default=())

    @property
    def waivers(self) -> dict[str, str]:
        """Check to reason."""
        return {
            name.strip(): reason.strip() for name, _, reason in (item.partition("=") for item in self.waive)
        }

    def __post_init__(self) -> None:
        """Refuse a waiver without a reason."""
        super().__post_init__()
        for item in self.waive:
            name, _, reason = item.partition("=")
            if not name.strip() or not reason.strip():
                raise InvalidRequest(
                    f"validate request: waive: expected CHECK=REASON, got {item!r}. Name the check and the"
                    " reason."
                )


@dataclass(frozen=True, kw_only=True)
class ReexportRequest(Request):
    """Export, validate and publish many checkpoints in one process; nothing becomes live."""

    model: ModelName = flag("the definition's name")
    checkpoints: tuple[Checkpoint | Uri, ...] = flag("a checkpoint's URI; may be repeated")
    bucket: BucketUri = flag("gs:// URI of the model bucket")
    out: Uri = flag("folder or gs:// URI for the validations' reports")
    weights: WeightsKind | None = flag("which weights to serve (default: the definition's)", default=None)
    waive: tuple[Words, ...] = flag(WAIVE, default=())
    by: Words | None = flag(BY, default=None)
    dag_run: str | None = flag("the Airflow run that asks", default=None)
    try_number: int | None = flag("which try of its Airflow task this is", default=None)


@dataclass(frozen=True, kw_only=True)
class DraftRequest(Request):
    """Draft a definition from a graph that training recorded."""

    source: Uri = flag(
        "a .meta or graph.pbtxt, a checkpoint next to one, a SavedModel, a .keras or a full .h5",
        positional=True,
    )
    name: ModelName | None = flag("the definition's name (default: the folder's)", default=None)
    input: tuple[str, ...] = flag(
        "[NAME=]TENSOR[?,10]: where a request enters, its shape in brackets if need be; may be repeated",
        default=(),
    )
    output: tuple[str, ...] = flag("[NAME=]TENSOR: what answers; may be repeated", default=())
    set: tuple[str, ...] = flag("NAME=VALUE: what a flag or rate is from now on; may be repeated", default=())
    interactive: bool = flag("ask at the terminal if several choices are equally good", default=False)
    out: Uri | None = flag("the package's folder to write it to (default: it is only printed)", default=None)
    keep_graph: Uri | None = flag(
        "folder or gs:// URI, such as the catalogue, to copy the graph to", default=None
    )


@dataclass(frozen=True, kw_only=True)
class HealRequest(Request):
    """Take dropout, batch statistics and optimizer out of a SavedModel that was exported to train."""

    saved_model: Uri = flag("the SavedModel's folder, local or gs://", positional=True)
    out: Uri = flag("where to put the good one: a folder, absent or empty, or a gs:// URI")
    stateful_ops: tuple[str, ...] = flag(
        "type of a random operation that answers need and that stays; may be repeated", default=()
    )


@dataclass(frozen=True, kw_only=True)
class ScanRequest(Request):
    """Say what is in a model's files, and what would be refused."""

    uri: Uri = flag(
        "a checkpoint, a SavedModel, a recording (.meta, .pbtxt) or a Keras file", positional=True
    )


@dataclass(frozen=True, kw_only=True)
class InspectRequest(Request):
    """Show what a checkpoint or a SavedModel holds."""

    uri: Uri = flag("a checkpoint's file, prefix or folder, or a SavedModel's folder", positional=True)
    step: int | None = flag("the checkpoint of this step, if the folder holds several", default=None)
