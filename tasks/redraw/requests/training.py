"""Requests for training, its checkpoints and the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.records import TrainingRun, WeightsKind
from redraw.requests.request import Request, flag, settle_times
from redraw.uri import BucketUri, Uri


@dataclass(frozen=True, kw_only=True)
class TrainRequest(Request):
    """Train a model, or resume where a killed training stopped."""

    model: ModelName = flag("the definition's name")
    out: Uri = flag("folder or gs:// URI for checkpoints and metrics; a stopped run in it is resumed")
    max_steps: int | None = flag("steps to train in all (default: the definition's)", default=None)
    warm_start: Uri | None = flag(
        "a checkpoint to take the first weights from: its URI, or STEP or STEP-DIGEST of the catalogue",
        default=None,
    )
    catalogue: Uri | None = flag("folder or gs:// URI of the catalogue that --warm-start means", default=None)
    run: str | None = flag("a name for the run (default: the folder's)", default=None)
    distribution: Literal["none", "mirrored", "multi_worker"] | None = flag(
        "train on one device, on all of the machine, or on those of TF_CONFIG (default: the definition's)",
        default=None,
    )
    best: str | None = flag("refuse at once if no evaluation measures this metric", default=None)
    step: int | None = flag("refuse at once if no checkpoint of this step is kept", default=None)
    weights: WeightsKind | None = flag("refuse at once if there are no such weights to serve", default=None)
    bucket: BucketUri | None = flag("refuse at once if this model bucket cannot be read", default=None)

    def __post_init__(self) -> None:
        """Refuse a number of steps that trains nothing."""
        super().__post_init__()
        if self.max_steps is not None and self.max_steps < 1:
            raise InvalidRequest(
                f"train request: max_steps: expected at least 1, got {self.max_steps}. Correct max_steps."
            )


@dataclass(frozen=True, kw_only=True)
class CheckpointRequest(Request):
    """Choose and verify a checkpoint: of a run, to copy it into the catalogue, or of the catalogue."""

    model: ModelName = flag("the definition's name")
    catalogue: Uri = flag("folder or gs:// URI of the checkpoint catalogue")
    source: TrainingRun | Uri | None = flag(
        "the training run's folder or gs:// URI (default: choose among the catalogue's, of all runs)",
        key="from",
        default=None,
    )
    step: int | None = flag("the checkpoint of this step", default=None)
    latest: bool = flag("the last checkpoint", default=False)
    best: str | None = flag("the checkpoint with the best value of this metric", default=None)

    def __post_init__(self) -> None:
        """Demand exactly one way to choose."""
        super().__post_init__()
        chosen = [self.step is not None, self.latest, self.best is not None]
        if sum(chosen) != 1:
            raise InvalidRequest(
                f"checkpoint request: expected exactly one of step, latest and best, got {sum(chosen)}. Set"
                " exactly one of them."
            )


@dataclass(frozen=True, kw_only=True)
class AdoptRequest(Request):
    """Find checkpoints that other programs saved, verify them and put them into the catalogue."""

    model: ModelName = flag("the definition's name")
    source: Uri = flag("folder or gs:// URI to look in, or one checkpoint", key="from")
    catalogue: Uri = flag("folder or gs:// URI of the checkpoint catalogue")
    recursive: bool = flag("look in the folders below as well", default=False)
    in_place: bool = flag("record where the files are, without copying them", default=False)
    trained_at: str | None = flag("when they were trained (default: what their files say)", default=None)

    def __post_init__(self) -> None:
        """Convert the time to the form of records."""
        super().__post_init__()
        settle_times(self, "adopt", "trained_at")


@dataclass(frozen=True, kw_only=True)
class CheckpointsRequest(Request):
    """List a model's checkpoints in the catalogue, the newest weights first."""

    model: ModelName = flag("the definition's name")
    catalogue: Uri = flag("folder or gs:// URI of the checkpoint catalogue")
    from_time: str | None = flag("those trained at this time or later", default=None)
    to_time: str | None = flag("those trained before this time", default=None)
    steps: tuple[int, ...] = flag("those of this step; may be repeated", default=())

    def __post_init__(self) -> None:
        """Convert the times to the form of records."""
        super().__post_init__()
        settle_times(self, "checkpoints", "from_time", "to_time")
