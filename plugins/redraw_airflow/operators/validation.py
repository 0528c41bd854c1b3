"""Between export and publication: every check of the export, and a person's word where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowFailException

from redraw.errors import RedrawError
from redraw.records import ExportedModel, ValidationReport
from redraw.requests import ValidateRequest
from redraw_airflow.compat import airflow_configuration
from redraw_airflow.operators.approval import approval_wanted, describe_release
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import (
    AnyRecord,
    RecordOrUri,
    TaskFolder,
    listed_texts,
    optional_text,
    setting,
    truth,
)
from redraw_airflow.settings import MODEL_BUCKET

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["ApproveReleaseOperator", "ValidateSavedModelOperator"]

_RETURNED = "return_value"


class ValidateSavedModelOperator(StageOperator, SkipMixin):
    """Examine an export and write a report of every check.

    Args:
        saved_model: The export's record, or the SavedModel's folder.
        checkpoint: The checkpoint to compare with, if not the one that the export names.
        against: `gs://` URI of the model bucket whose live version to compare with; none by default.
        allow_breaking: Why signatures may break the live version's; the release records it.
        waive: Checks that may be left undone, each as `CHECK=REASON`: a list, or text with commas
            or line breaks between.
        approval: Whether an `ApproveReleaseOperator` right after it is to ask a person: `yes`, `no`, or
            `default` for what the definition says; where it is not, that task is skipped, at no cost.
            A backfill never asks.
        kwargs: As `StageOperator`.
    """

    template_fields = (
        *StageOperator.template_fields,
        *("saved_model", "checkpoint", "against", "allow_breaking", "waive", "approval"),
    )
    # Airflow's scheduler asks it of each class that may skip tasks.
    inherits_from_skipmixin = True
    stage, request_type, record_type = "validate", ValidateRequest, ValidationReport

    def __init__(
        self,
        *,
        saved_model: RecordOrUri,
        checkpoint: RecordOrUri | None = None,
        against: str | None = None,
        allow_breaking: str | None = None,
        waive: Sequence[str] | str | None = None,
        approval: str = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.saved_model = saved_model
        self.checkpoint = checkpoint
        self.against = against
        self.allow_breaking = allow_breaking
        self.waive = waive
        self.approval = approval

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

    def execute(self, context: Context) -> dict[str, Any]:
        """Validate, and leave out the approval that nobody asks for; raises as `StageOperator`."""
        unasked = self._unasked_approvals(context)
        record = super().execute(context)
        if unasked:
            # Skipping ends the task by an exception, so what it returns has to be there before.
            context["ti"].xcom_push(key=_RETURNED, value=record)
            self.skip(context["ti"], unasked)
        return record

    def _unasked_approvals(self, context: Context) -> list[ApproveReleaseOperator]:
        """The tasks right after this one that would ask a person, where nobody is to be asked."""
        later = self.downstream_list if self.downstream_task_ids else []
        asking = [task for task in later if isinstance(task, ApproveReleaseOperator)]
        try:
            return [] if asking and approval_wanted(self.approval, self.model, context) else asking
        except RedrawError as err:
            raise AirflowFailException(str(err)) from err


class ApproveReleaseOperator(ApprovalOperator):
    """Wait until a person approves a publication; without a yes, what comes after it is skipped.

    The request shows the metrics against the live version's, the checks, and where the whole report
    and the picture of the graphs are. Nobody's answer in time counts as a no.

    Args:
        model: The definition's name.
        saved_model: The export's record.
        report: The validation's report.
        bucket: `gs://` URI of the model bucket.
        make_live: Whether the version is to become live, for the text.
        wait_hours: How long to wait for an answer.
        kwargs: As `ApprovalOperator`: `assigned_users` says who may answer, `notifiers` who is notified.
    """

    template_fields = (
        *ApprovalOperator.template_fields,
        *("model", "saved_model", "report", "bucket", "make_live", "wait_hours"),
    )

    def __init__(
        self,
        *,
        model: str,
        saved_model: AnyRecord,
        report: AnyRecord,
        bucket: str | None = None,
        make_live: bool | str = False,
        wait_hours: float | str = 24,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="Publish?", defaults=self.REJECT, response_timeout=timedelta(hours=24), **kwargs
        )
        self.model = model
        self.saved_model = saved_model
        self.report = report
        self.bucket = bucket
        self.make_live = make_live
        self.wait_hours = wait_hours

    def execute(self, context: Context) -> None:
        """Ask, and give the worker free until there is an answer.

        Raises:
            AirflowFailException: What is to be published cannot be read.
        """
        try:
            export = ExportedModel.from_json(self.saved_model)
            report = ValidationReport.from_json(self.report)
            bucket = setting("bucket", self.bucket, MODEL_BUCKET)
            make_live = truth("make_live", self.make_live)
        except RedrawError as err:
            raise AirflowFailException(str(err)) from err
        ti = context["ti"]
        asked = describe_release(export, report, bucket, make_live=make_live)
        base = airflow_configuration().get("api", "base_url", fallback="").rstrip("/")
        run = f"{base}/dags/{quote(ti.dag_id, safe='')}/runs/{quote(ti.run_id, safe='')}"
        self.subject = asked.subject
        self.body = f"{asked.body}\n\n[The whole report, and the picture of the graphs]({run}/plugin/redraw)"
        self.response_timeout = timedelta(hours=float(self.wait_hours))
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take the answer; after a no, what comes after this task is skipped.

        Returns:
            Of a yes: who gave it, under `approved_by`, and when, under `approved_at`.
        """
        user = event.get("responded_by_user") or {}
        name = user.get("name") or user.get("id")
        if event.get("chosen_options") == [self.REJECT]:
            why = f"{name} rejected it" if name else f"nobody approved it within {self.wait_hours} hours"
            self.log.warning("%s is not published: %s.", self.model, why)
        answer = super().execute_complete(context, event)
        return {"approved_by": name, "approved_at": answer["responded_at"].isoformat()}
