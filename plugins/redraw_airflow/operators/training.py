"""One operator per stage: each builds a request, runs the stage, and returns its record.

    train = TrainOperator(task_id="train", model="mnist")
    checkpoint = CheckpointOperator(task_id="checkpoint", model="mnist", training_run=train.output)
    export = ExportSavedModelOperator(task_id="export", model="mnist", checkpoint=checkpoint.output)

What a stage reads is the record of the stage before it (its XCom, by `.output`) or a URI.
An argument that is None or empty leaves the choice to the stage, the definition, or the
environment: `REDRAW_WORK`, `REDRAW_CHECKPOINTS`, `REDRAW_MODEL_BUCKET`, `REDRAW_PYTHON`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.sdk import Context

from redraw.errors import InvalidRequest
from redraw.names import ModelName
from redraw.records import Checkpoint, ExportedModel, TrainingRun
from redraw.records.progress import TrainingProgress
from redraw.requests import CheckpointRequest, ExportRequest, TrainRequest
from redraw_airflow.hooks import connection_place
from redraw_airflow.operators.approving import ApproveReexportOperator as ApproveReexportOperator
from redraw_airflow.operators.approving import ApproveReleaseOperator as ApproveReleaseOperator
from redraw_airflow.operators.arguments import integer, record, required, text, truth
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.comparing import CompareAnswersOperator as CompareAnswersOperator
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder, optional_choice, place
from redraw_airflow.operators.links import CheckpointLink, TensorBoardLink, tensorboard_url
from redraw_airflow.operators.progress import TrainingWatch
from redraw_airflow.operators.publishing import PushModelOperator as PushModelOperator
from redraw_airflow.operators.publishing import RollBackOperator as RollBackOperator
from redraw_airflow.operators.publishing import SetLiveOperator as SetLiveOperator
from redraw_airflow.operators.reexport_summary import SummarizeReexportOperator as SummarizeReexportOperator
from redraw_airflow.operators.reexporting import PlanReexportOperator as PlanReexportOperator
from redraw_airflow.operators.reexporting import ReexportOperator as ReexportOperator
from redraw_airflow.operators.retention import MarkVersionOperator as MarkVersionOperator
from redraw_airflow.operators.retention import PruneOperator as PruneOperator
from redraw_airflow.operators.validation import ValidateSavedModelOperator as ValidateSavedModelOperator
from redraw_airflow.settings import CHECKPOINTS


class TrainOperator(StageOperator):
    """Train a model; a retry resumes from the last checkpoint of the try before it.

    Its XCom is the `TrainingRun` record as JSON values. While it runs, the XCom `progress` has its state.

    Args:
        max_steps: Steps to train in all.
        warm_start: A checkpoint to take the first weights from: its URI, or `STEP` or `STEP-DIGEST` of
            the catalogue.
        catalogue: Folder or `gs://` URI of the catalogue that the warm start means.
        distribution: `none`, `mirrored` or `multi_worker`; None or `default` for what the definition says.
        choose: Which checkpoint a later `CheckpointOperator` chooses: `latest`, `best` or `step`. A later
            step that cannot work fails before the training because of this and the next arguments.
        metric: With `best`, the metric that decides.
        step: With `step`, the step of the checkpoint.
        weights: Which weights are exported later.
        bucket: The model bucket that is published to later.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> train = TrainOperator(task_id="train", model="mnist", max_steps=1000)
    """

    kinds = {
        **StageOperator.kinds,
        **dict.fromkeys(("max_steps", "step"), integer),
        **dict.fromkeys(("warm_start", "catalogue", "distribution", "metric", "weights", "bucket"), text),
        "choose": required(text),
    }
    stage, request_type, record_type = "train", TrainRequest, TrainingRun
    operator_extra_links = (TensorBoardLink(),)

    def __init__(
        self,
        *,
        max_steps: int | str | None = None,
        warm_start: str | None = None,
        catalogue: str | None = None,
        distribution: str | None = None,
        choose: str = "latest",
        metric: str | None = None,
        step: int | str | None = None,
        weights: str | None = None,
        bucket: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `TrainRequest`."""
        return {
            "out": folder.for_all_tries(),
            **self.arguments("max_steps", "warm_start", "bucket"),
            "catalogue": self.catalogue
            or connection_place(self.gcp_conn_id, "catalogue")
            or CHECKPOINTS.read(),
            "run": folder.run,
            "distribution": optional_choice(self.distribution),
            "best": self.metric if self.choose == "best" else None,
            "step": self.step if self.choose == "step" else None,
            "weights": optional_choice(self.weights),
        }

    def watch_stage(self, context: Context, folder: TaskFolder) -> Callable[[str], None]:
        """Add the link to TensorBoard, and keep the XCom `progress` up to date from now on."""
        progress = TrainingProgress(model=ModelName(self.model), run=folder.run, uri=folder.for_all_tries())
        url = tensorboard_url(progress.model, progress.run, progress.uri)
        return TrainingWatch(context["ti"], progress, url).hear


class CheckpointOperator(StageOperator):
    """Choose one checkpoint of a training run, verify it and put it into the catalogue.

    Its XCom is the `Checkpoint` record as JSON values.

    Args:
        training_run: The record of the training, or its folder; without it the choice is among
            the catalogue's checkpoints, of all runs.
        catalogue: Folder or `gs://` URI of the catalogue.
        choose: `latest`, `best` or `step`.
        metric: With `best`, the metric that decides.
        step: With `step`, the step it was saved at.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> checkpoint = CheckpointOperator(
        ...     task_id="checkpoint", model="mnist", training_run=train.output, choose="best", metric="loss"
        ... )
    """

    kinds = {
        **StageOperator.kinds,
        "training_run": record,
        **dict.fromkeys(("catalogue", "metric"), text),
        "choose": required(text),
        "step": integer,
    }
    stage, request_type, record_type = "checkpoint", CheckpointRequest, Checkpoint
    operator_extra_links = (CheckpointLink(),)

    def __init__(
        self,
        *,
        training_run: RecordOrUri | None = None,
        catalogue: str | None = None,
        choose: str = "latest",
        metric: str | None = None,
        step: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `CheckpointRequest`."""
        return {
            "from": self.training_run,
            "catalogue": place("catalogue", self.catalogue, self.gcp_conn_id, CHECKPOINTS),
            **self._choice(),
        }

    def _choice(self) -> dict[str, Any]:
        choices: dict[str, tuple[str, Any]] = {
            "latest": ("latest", True),
            "best": ("metric", self.metric),
            "step": ("step", self.step),
        }
        if self.choose not in choices:
            listed = ", ".join(choices)
            raise InvalidRequest(
                f"choose: expected one of {listed}, got {self.choose!r:.80}. Correct the argument."
            )
        argument, value = choices[self.choose]
        if value is None:
            raise InvalidRequest(
                f"{argument}: expected a value, because choose is {self.choose!r}, got"
                " none. Pass the argument."
            )
        return {self.choose: value}


class ExportSavedModelOperator(StageOperator):
    """Draw the inference graph, put a checkpoint's weights into it, and write a SavedModel.

    Its XCom is the `ExportedModel` record as JSON values.

    Args:
        checkpoint: The checkpoint's record, its URI in the catalogue, or any other file, prefix
            or folder that contains one.
        weights: `raw` or `average`; `default` leaves it to the definition.
        step: The step of the checkpoint, if a folder contains several.
        allow_non_finite: Whether to export even if weights are NaN or infinite.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> export = ExportSavedModelOperator(
        ...     task_id="export", model="mnist", checkpoint=checkpoint.output
        ... )
    """

    kinds = {
        **StageOperator.kinds,
        "checkpoint": required(record),
        "weights": text,
        "step": integer,
        "allow_non_finite": truth,
    }
    stage, request_type, record_type = "export", ExportRequest, ExportedModel

    def __init__(
        self,
        *,
        checkpoint: RecordOrUri,
        weights: str | None = None,
        step: int | str | None = None,
        allow_non_finite: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of an `ExportRequest`; each try writes to a folder of its own."""
        return {
            **self.arguments("checkpoint", "step", "allow_non_finite"),
            "out": folder.for_this_try(),
            "weights": optional_choice(self.weights),
        }
