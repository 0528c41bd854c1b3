"""The records of training, the catalogue and the export, with their provenance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from redraw.names import ModelName
from redraw.records.base import Record
from redraw.records.forms import Count, Digest, FileName, Revision, ShortText, Time
from redraw.records.signature import Signature
from redraw.uri import Uri

WeightsKind = Literal["raw", "average"]
CheckpointFormat = Literal["tensor_bundle", "saver_v1", "keras", "keras_weights", "keras_h5"]
# Name to value; None if it is NaN or infinite, because JSON has no such numbers.
Metrics = Mapping[ShortText, float | None]


def finite_metrics(metrics: Metrics) -> dict[str, float | None]:
    """Metrics for a record: NaN and infinite values become None."""
    return {
        name: value if value is not None and math.isfinite(value) else None for name, value in metrics.items()
    }


def format_metrics(metrics: Metrics, form: str = ".4g") -> str:
    """Metrics for a log line or a table."""
    return ", ".join(
        f"{name} {'not a number' if value is None else format(value, form)}"
        for name, value in metrics.items()
    )


@dataclass(frozen=True, kw_only=True)
class TrainingRun(Record):
    """The result of `train`: a folder with checkpoints and metrics.

    Attributes:
        model: The definition's name.
        uri: The folder: `run.json`, `checkpoints/`, `metrics.jsonl`, `events/`.
        run: A name for the run, unique for the model.
        step: The last step trained.
        metrics: The last evaluation.
        lower_is_better: The metrics of which `--best` takes the lowest.
        warm_start: The checkpoint that the weights came from, if any.
    """

    model: ModelName
    uri: Uri
    run: ShortText
    step: Count
    metrics: Metrics = field(default_factory=dict)
    lower_is_better: tuple[ShortText, ...] = ()
    warm_start: Uri | None = None

    def __post_init__(self) -> None:
        """Parse its names and URIs, and replace metrics that are NaN, which older records have, by None."""
        super().__post_init__()
        object.__setattr__(self, "metrics", finite_metrics(self.metrics))


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Record):
    """A complete checkpoint, in the catalogue or elsewhere.

    Attributes:
        model: The definition's name.
        uri: In the catalogue, the folder with its files and this record; otherwise, or if the catalogue only
            refers to it, its file, or the prefix of its files.
        prefix: TensorFlow's prefix of the files in the folder; empty if `uri` is the prefix or the file.
        format: The format of its files.
        step: The training step it was saved at.
        trained_at: When it was saved, in UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        digest: SHA-256 over every tensor's key, dtype, shape and checksum, in hex.
        size_bytes: Of all its files.
        metrics: The evaluation at that step.
        run: The training run that saved it.
        averages: Whether it has a moving average of the weights in addition to the raw ones.
        lower_is_better: The metrics of which `--best` takes the lowest.
    """

    model: ModelName
    uri: Uri
    prefix: FileName
    format: CheckpointFormat
    step: Count
    trained_at: Time
    digest: Digest
    size_bytes: Count
    metrics: Metrics = field(default_factory=dict)
    run: ShortText | None = None
    averages: bool = False
    lower_is_better: tuple[ShortText, ...] = ()

    def __post_init__(self) -> None:
        """Parse its names and URIs, and replace metrics that are NaN, which older records have, by None."""
        super().__post_init__()
        object.__setattr__(self, "metrics", finite_metrics(self.metrics))

    @property
    def files_uri(self) -> Uri:
        """The URI to open: its file, or the prefix of its files."""
        return self.uri / self.prefix if self.prefix else self.uri


@dataclass(frozen=True, kw_only=True)
class LedgerSummary:
    """The numbers of tensors in the restore ledger; the ledger itself is a file next to the export.

    Attributes:
        served: Variables of the SavedModel, each with its source in the checkpoint.
        dropped: Rule to number of checkpoint tensors that serving does not need.
    """

    served: Count
    dropped: Mapping[ShortText, Count]


@dataclass(frozen=True, kw_only=True)
class ExportedModel(Record):
    """A SavedModel on disk, and its checkpoint and code.

    Attributes:
        model: The definition's name.
        uri: The SavedModel's folder.
        digest: SHA-256 over the files' names and contents, in hex.
        size_bytes: Of all its files.
        signatures: The signatures that it serves.
        checkpoint: The checkpoint of its weights.
        weights: Which of the checkpoint's weights it serves.
        ledger: The restore ledger's sums.
        ledger_uri: The restore ledger, a JSON file.
        made_by: The code that made it; None in records of older versions of Redraw.
    """

    model: ModelName
    uri: Uri
    digest: Digest
    size_bytes: Count
    signatures: Mapping[ShortText, Signature]
    checkpoint: Checkpoint
    weights: WeightsKind
    ledger: LedgerSummary
    ledger_uri: Uri
    made_by: MadeBy | None = None


@dataclass(frozen=True, kw_only=True)
class MadeBy:
    """The code that made an export.

    Attributes:
        definition_digest: SHA-256, in hex, of the definition's source files.
        git_revision: The commit of these files; None if they are in no repository.
        git_dirty: Whether that repository had uncommitted changes; None if there is none.
        tensorflow: Its version.
        keras: Its version.
        python: Its version.
        redraw: Its version.
        exported_at: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
    """

    definition_digest: Digest
    git_revision: Revision | None
    git_dirty: bool | None
    tensorflow: ShortText
    keras: ShortText
    python: ShortText
    redraw: ShortText
    exported_at: Time


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a release, in addition to its checkpoint and its report.

    Attributes:
        made_by: The code that made the export; None if the export's record has none.
        report_digest: SHA-256, in hex, of the validation report's JSON.
        asked_by: The Airflow user, or the user and machine of a manual push.
        dag_run: `<dag>/<run>` of the push; None for a manual one.
        try_number: Which try of its task it was.
        approved_by: Who approved the publication; None if no approval was needed.
    """

    made_by: MadeBy | None
    report_digest: Digest
    asked_by: str
    dag_run: str | None = None
    try_number: Count | None = None
    approved_by: str | None = None
