"""The operator that validates an export before it is published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context
from airflow.sdk.bases.skipmixin import SkipMixin

from redraw.records import ValidationReport
from redraw.requests import ValidateRequest
from redraw_airflow.operators.allowed import BUCKETS, WORK_FOLDERS
from redraw_airflow.operators.approval import approval_required
from redraw_airflow.operators.approving import ApproveReleaseOperator
from redraw_airflow.operators.arguments import record, required, text, texts
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder, waivers

_RETURNED = "return_value"


class ValidateSavedModelOperator(StageOperator, SkipMixin):
    """Validate an export: its XCom is the `ValidationReport` record as JSON values.

    If a check fails, so does the task. A failed task has the report, too, as the XCom `report`.

    Args:
        saved_model: The export's record, or the SavedModel's folder.
        checkpoint: The checkpoint to compare with, if not the one that the export names.
        against: `gs://` URI of the model bucket whose live version to compare with; none by default.
        reference: An old SavedModel, recorded requests or a recorded graph whose answers the export has to
            give; by default the definition's reference.
        allow_breaking: The reason why signatures may break clients of the live version; the release records
            it.
        waive: Checks to waive, each by its name or as `CHECK=REASON`: a list, or text with a check on each
            line.
        waive_reason: The reason for waived checks that have none of their own.
        approval: Whether an `ApproveReleaseOperator` right after it is to ask a person: `yes`, `no`, or
            `default` for what the definition says. Otherwise that task is skipped.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> validate = ValidateSavedModelOperator(
        ...     task_id="validate", model="mnist", saved_model=export.output, against="gs://models"
        ... )
    """

    # A published version can be validated, too.
    places = {"saved_model": [WORK_FOLDERS, BUCKETS]}
    # Airflow's scheduler reads this from each class that may skip tasks.
    inherits_from_skipmixin = True
    kinds = {
        **StageOperator.kinds,
        "saved_model": required(record),
        "checkpoint": record,
        **dict.fromkeys(("against", "reference", "allow_breaking"), text),
        "waive": texts,
        "waive_reason": text,
        "approval": text,
    }
    stage, request_type, record_type = "validate", ValidateRequest, ValidationReport
    reports = True

    def __init__(
        self,
        *,
        saved_model: RecordOrUri,
        checkpoint: RecordOrUri | None = None,
        against: str | None = None,
        reference: str | None = None,
        allow_breaking: str | None = None,
        waive: Sequence[str] | str | None = None,
        waive_reason: str | None = None,
        approval: str = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `ValidateRequest`; each try writes a report of its own."""
        return {
            **self.arguments("saved_model", "checkpoint", "against", "reference", "allow_breaking"),
            "report": f"{folder.for_report()}.json",
            "waive": waivers(self.waive, self.waive_reason),
        }

    def execute(self, context: Context) -> dict[str, Any]:
        """Validate, and skip an approval that is not needed.

        Raises:
            AirflowFailException: An error that a retry cannot fix.
            AirflowException: An error that a retry may fix.
        """
        with keeping_failure(context, self.stage, self.model):
            self.model = required(text)("model", self.model)
            unneeded = self._unneeded_approvals()
        record = super().execute(context)
        if unneeded:
            # Skipping may end the task by an exception, so the record has to be pushed before.
            context["ti"].xcom_push(key=_RETURNED, value=record)
            self.skip(context["ti"], unneeded)
        return record

    def _unneeded_approvals(self) -> list[ApproveReleaseOperator]:
        """The approval tasks right after this one, if no approval is needed."""
        following = self.downstream_list if self.downstream_task_ids else []
        approvals = [task for task in following if isinstance(task, ApproveReleaseOperator)]
        choice = text("approval", self.approval) or "default"
        return [] if approvals and approval_required(choice, self.model) else approvals
