"""One operator per stage: each builds a request, runs the stage, and returns its record.

    train = TrainOperator(task_id="train", model="mnist")
    checkpoint = CheckpointOperator(task_id="checkpoint", model="mnist", training_run=train.output)
    export = ExportSavedModelOperator(task_id="export", model="mnist", checkpoint=checkpoint.output)

What a stage reads is the record of the stage before it (its XCom, by `.output`) or a URI.
An argument that is None or empty leaves the choice to the stage, the definition, or the
environment: `REDRAW_WORK`, `REDRAW_CHECKPOINTS`, `REDRAW_MODEL_BUCKET`, `REDRAW_PYTHON`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from redraw.publishing_operators import (
    PruneOperator,
    PushModelOperator,
    RollBackOperator,
    SetLiveOperator,
)
from redraw.reexport_operators import PlanReexportOperator, ReexportOperator
from redraw.reexport_summary import SummarizeReexportOperator
from redraw.stage_operator import StageOperator
from redraw.task_inputs import (
    RecordOrUri,
    TaskFolder,
    listed_texts,
    optional_integer,
    optional_text,
    setting,
    truth,
)
from tasks.errors import InvalidRequest
from tasks.records import Checkpoint, ExportedModel, TrainingRun, ValidationReport
from tasks.requests import CheckpointRequest, ExportRequest, TrainRequest, ValidateRequest

__all__ = [
    "CheckpointOperator",
    "ExportSavedModelOperator",
    "PlanReexportOperator",
    "PruneOperator",
    "PushModelOperator",
    "ReexportOperator",
    "RollBackOperator",
    "SetLiveOperator",
    "SummarizeReexportOperator",
    "TrainOperator",
    "ValidateSavedModelOperator",
]


class TrainOperator(StageOperator):
    """Train a model; a retry carries on from the last checkpoint of the try before it.

    Args:
        max_steps: Steps to train in all.
        warm_start: A checkpoint to take the first weights from: its URI, or `STEP` or `STEP-DIGEST` of
            the catalogue.
        catalogue: Folder or `gs://` URI of the catalogue that the warm start means.
        kwargs: As `StageOperator`.
    """

    template_fields = (*StageOperator.template_fields, "max_steps", "warm_start", "catalogue")
    stage, request_type, record_type = "train", TrainRequest, TrainingRun

    def __init__(
        self,
        *,
        max_steps: int | str | None = None,
        warm_start: str | None = None,
        catalogue: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_steps = max_steps
        self.warm_start = warm_start
        self.catalogue = catalogue

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """As `TrainRequest`."""
        return {
            "out": folder.for_all_tries(),
            "max_steps": optional_integer("max_steps", self.max_steps),
            "warm_start": optional_text(self.warm_start),
            "catalogue": optional_text(self.catalogue) or os.environ.get("REDRAW_CHECKPOINTS") or None,
            "run": folder.run,
        }


class CheckpointOperator(StageOperator):
    """Choose one checkpoint of a training run, verify it and put it into the catalogue.

    Args:
        training_run: The record of the training, or its folder; without it the choice is among
            the catalogue's checkpoints, of all runs.
        catalogue: Folder or `gs://` URI of the catalogue.
        choose: `latest`, `best` or `step`.
        metric: With `best`, the metric that decides.
        step: With `step`, the step it was saved at.
        kwargs: As `StageOperator`.
    """

    template_fields = (
        *StageOperator.template_fields,
        *("training_run", "catalogue", "choose", "metric", "step"),
    )
    stage, request_type, record_type = "checkpoint", CheckpointRequest, Checkpoint

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
        self.training_run = training_run
        self.catalogue = catalogue
        self.choose = choose
        self.metric = metric
        self.step = step

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """As `CheckpointRequest`."""
        return {
            "from": self.training_run,
            "catalogue": setting("catalogue", self.catalogue, "REDRAW_CHECKPOINTS"),
            **self._choice(),
        }

    def _choice(self) -> dict[str, Any]:
        choices: dict[str, tuple[str, Any]] = {
            "latest": ("latest", True),
            "best": ("metric", optional_text(self.metric)),
            "step": ("step", optional_integer("step", self.step)),
        }
        if self.choose not in choices:
            listed = ", ".join(choices)
            raise InvalidRequest(f"choose: expected one of {listed}, got {self.choose!r}. Correct it.")
        argument, value = choices[self.choose]
        if value is None:
            raise InvalidRequest(f"{argument}: expected a value with choose={self.choose!r}. Give it.")
        return {self.choose: value}


class ExportSavedModelOperator(StageOperator):
    """Redraw the graph for inference, restore a checkpoint under it, write a SavedModel.

    Args:
        checkpoint: The checkpoint's record, its URI in the catalogue, or any other file, prefix
            or folder that holds one.
        weights: `raw` or `average`; `default` leaves it to the definition.
        step: Of a folder with several checkpoints the one of this step.
        allow_non_finite: Whether to export weights that are NaN or infinite all the same.
        kwargs: As `StageOperator`.
    """

    template_fields = (
        *StageOperator.template_fields,
        *("checkpoint", "weights", "step", "allow_non_finite"),
    )
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
        self.checkpoint = checkpoint
        self.weights = weights
        self.step = step
        self.allow_non_finite = allow_non_finite

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """As `ExportRequest`; each try writes to a folder of its own."""
        weights = optional_text(self.weights)
        return {
            "checkpoint": self.checkpoint,
            "out": folder.for_this_try(),
            "weights": None if weights == "default" else weights,
            "step": optional_integer("step", self.step),
            "allow_non_finite": truth("allow_non_finite", self.allow_non_finite),
        }


class ValidateSavedModelOperator(StageOperator):
    """Examine an export and write a report of every check.

    Args:
        saved_model: The export's record, or the SavedModel's folder.
        checkpoint: The checkpoint to compare with, if not the one that the export names.
        against: `gs://` URI of the model bucket whose live version to compare with; none by default.
        allow_breaking: Why signatures may break the live version's; the release records it.
        waive: Checks that may be left undone, each as `CHECK=REASON`: a list, or text with commas
            or line breaks between.
        kwargs: As `StageOperator`.
    """

    template_fields = (
        *StageOperator.template_fields,
        *("saved_model", "checkpoint", "against", "allow_breaking", "waive"),
    )
    stage, request_type, record_type = "validate", ValidateRequest, ValidationReport

    def __init__(
        self,
        *,
        saved_model: RecordOrUri,
        checkpoint: RecordOrUri | None = None,
        against: str | None = None,
        allow_breaking: str | None = None,
        waive: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.saved_model = saved_model
        self.checkpoint = checkpoint
        self.against = against
        self.allow_breaking = allow_breaking
        self.waive = waive

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """As `ValidateRequest`; each try writes a report of its own."""
        return {
            "saved_model": self.saved_model,
            "report": f"{folder.for_this_try()}.json",
            "checkpoint": self.checkpoint or None,
            "against": optional_text(self.against),
            "allow_breaking": optional_text(self.allow_breaking),
            "waive": listed_texts(self.waive),
        }
