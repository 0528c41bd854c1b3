"""Operators that wait until a person approves a publication.

    validate >> ApproveReleaseOperator(task_id="approve", …) >> push         one version
    plan >> ApproveReexportOperator(task_id="approve", …) >> reexport        all that a run exports again

No answer in time counts as a rejection. After a rejection the tasks after this one are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context, XComArg

from redraw.errors import InvalidName, InvalidRecord, InvalidRequest
from redraw.records import ExportedModel, ValidationReport
from redraw.records.json_text import RECORD_BYTES
from redraw.storage.opening import read_uri
from redraw.uri import Uri
from redraw_airflow.compat import airflow_configuration
from redraw_airflow.operators.allowed import WORK_FOLDERS, demand_allowed
from redraw_airflow.operators.approval import (
    ApprovalRequest,
    approval_required,
    demand_approval,
    describe_batch,
    describe_release,
)
from redraw_airflow.operators.arguments import (
    Kind,
    TakesArguments,
    number,
    record,
    records,
    required,
    text,
    truth,
)
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.operators.inputs import AnyRecord, RecordOrUri, place
from redraw_airflow.settings import DEFAULT_CONNECTION, MODEL_BUCKET
from redraw_airflow.stages.credentials import using_connection

_WAIT_HOURS = 24
_MOST_HOURS = 24 * 366


def _hours(name: str, value: Any) -> float | None:
    """How long a person has, in hours."""
    hours = number(name, value)
    if hours is not None and not 0 < hours <= _MOST_HOURS:
        raise InvalidRequest(
            f"{name}: expected more than 0 and at most {_MOST_HOURS}, got {hours:g}. Correct the argument."
        )
    return hours


class _ApprovalOperator(TakesArguments, ApprovalOperator):
    """What both operators have in common.

    Args:
        model: The definition's name.
        bucket: `gs://` URI of the model bucket.
        wait_hours: How long to wait for an answer.
        gcp_conn_id: The Airflow connection that may read the work folder, and may name the bucket.
        kwargs: Those of `ApprovalOperator`, such as `assigned_users` and `notifiers`.
    """

    template_fields: Sequence[str] = (
        *ApprovalOperator.template_fields,
        "model",
        "bucket",
        "wait_hours",
        "gcp_conn_id",
    )
    kinds: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("model", "gcp_conn_id"), required(text)),
        "bucket": text,
        "wait_hours": _hours,
    }

    def __init__(
        self,
        *,
        model: str,
        bucket: str | None = None,
        wait_hours: float | str = _WAIT_HOURS,
        gcp_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="Publish?", defaults=self.REJECT, response_timeout=timedelta(hours=_WAIT_HOURS), **kwargs
        )
        self.keep_arguments(locals())

    def execute(self, context: Context) -> Any:
        """Ask, and free the worker until there is an answer.

        Raises:
            AirflowFailException: An argument is wrong, or the record to publish cannot be read.
        """
        with keeping_failure(context, "approve", self.model):
            self.take_arguments()
            request = self.describe()
        self.subject, self.body = request.subject, request.body + self.links(context)
        self.response_timeout = timedelta(hours=self.wait_hours or _WAIT_HOURS)
        return super().execute(context)

    def describe(self) -> ApprovalRequest:
        """The question to the person."""
        raise NotImplementedError

    def place(self) -> str:
        """The bucket."""
        return place("bucket", self.bucket, self.gcp_conn_id, MODEL_BUCKET)

    def links(self, context: Context) -> str:
        """Links to more information, in Markdown."""
        return ""

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Take the answer; after a rejection, the tasks after this one are skipped.

        Returns:
            Who approved, under `approved_by`, and when, under `approved_at`.

        Raises:
            AirflowFailException: The person who approved also started the run, and may not do both.
        """
        user = event.get("responded_by_user") or {}
        name = user.get("name") or user.get("id")
        if event.get("chosen_options") == [self.REJECT]:
            reason = (
                f"{name} rejected the request"
                if name
                else f"nobody answered the request within {self.wait_hours} hours"
            )
            self.log.warning("%s is not published: %s.", self.model, reason)
        else:
            with keeping_failure(context, "approve", self.model):
                for who in {name, user.get("id") or name}:
                    demand_approval(self.model, who, context["dag_run"].triggering_user_name)
        answer = super().execute_complete(context, event)
        return {"approved_by": name, "approved_at": answer["responded_at"].isoformat()}


class ApproveReleaseOperator(_ApprovalOperator):
    """Wait until a person approves a publication; otherwise the tasks after it are skipped.

    The request shows the metrics next to the live version's and the checks, and links to the full
    report with the picture of the graphs.

    Its XCom says who approved, as `approved_by`, and when, as `approved_at`.

    Args:
        saved_model: The export's record, or its folder.
        report: The validation's report.
        make_live: Whether the version is to become live, for the text.
        kwargs: `model` is the definition's name, `bucket` the `gs://` URI of the model bucket,
            `wait_hours` how long to wait for an answer, and `gcp_conn_id` the connection. The others are
            those of `ApprovalOperator`: `assigned_users` says who may answer, `notifiers` who is notified.

    Example:
        >>> approve = ApproveReleaseOperator(
        ...     task_id="approve",
        ...     model="mnist",
        ...     saved_model=export.output,
        ...     report=validate.output,
        ...     bucket="gs://models",
        ...     wait_hours=24,
        ... )
    """

    template_fields = (*_ApprovalOperator.template_fields, "saved_model", "report", "make_live")
    kinds = {
        **_ApprovalOperator.kinds,
        **dict.fromkeys(("saved_model", "report"), required(record)),
        "make_live": truth,
    }

    def __init__(
        self, *, saved_model: RecordOrUri, report: AnyRecord, make_live: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def describe(self) -> ApprovalRequest:
        """The export, and its validation."""
        with _naming("saved_model"):
            export = _read_export(self.saved_model, self.gcp_conn_id)
        with _naming("report"):
            report = ValidationReport.from_json(self.report)
        return describe_release(export, report, self.place(), make_live=bool(self.make_live))

    def links(self, context: Context) -> str:
        """The run's tab with the whole report."""
        ti = context["ti"]
        base = airflow_configuration().get("api", "base_url", fallback="").rstrip("/")
        run = f"{base}/dags/{quote(ti.dag_id, safe='')}/runs/{quote(ti.run_id, safe='')}"
        return f"\n\n[Full report, with the picture of the graphs]({run}/plugin/redraw)"


@contextmanager
def _naming(argument: str) -> Iterator[None]:
    """Name the argument in an error about its record or place."""
    try:
        yield
    except (InvalidRecord, InvalidName) as err:
        raise type(err)(f"{argument}: {err}") from err


def _read_export(saved_model: Any, gcp_conn_id: str) -> ExportedModel:
    """The export's record: the argument itself, or the file next to the export's folder."""
    if not isinstance(saved_model, str):
        return ExportedModel.from_json(saved_model)
    demand_allowed("saved_model", saved_model, [WORK_FOLDERS])
    uri = Uri(saved_model).with_ending(".json")
    with using_connection(gcp_conn_id):
        content = read_uri(uri, RECORD_BYTES + 1)
    if content is None:
        raise InvalidRecord(
            f"{uri}: expected the record that the export task writes, found no such file."
            " Run the export task again."
        )
    return ExportedModel.from_text(content, uri)


class ApproveReexportOperator(_ApprovalOperator):
    """Wait until a person approves all exports of a run, if the model's definition asks for approval.

    Its XCom is like that of `ApproveReleaseOperator`; `approved_by` is None if no approval is needed.

    Args:
        plan: What the `PlanReexportOperator` returned.
        kwargs: `model`, `bucket`, `wait_hours`, `gcp_conn_id`, and those of `ApprovalOperator`.

    Example:
        >>> approved = ApproveReexportOperator(
        ...     task_id="approve_all", model="mnist", plan=plan.output, bucket="gs://models", wait_hours=24
        ... )
    """

    template_fields = (*_ApprovalOperator.template_fields, "plan")
    kinds = {**_ApprovalOperator.kinds, "plan": required(records)}

    def __init__(self, *, plan: Sequence[Mapping[str, Any]] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def execute(self, context: Context) -> Any:
        """Ask if the definition asks for approval.

        Raises:
            AirflowFailException: An argument is wrong.
        """
        with keeping_failure(context, "approve", self.model):
            self.take_arguments()
            if not approval_required("default", self.model):
                return {"approved_by": None}
        return super().execute(context)

    def describe(self) -> ApprovalRequest:
        """The checkpoints of all batches."""
        bucket = self.place()
        try:
            checkpoints = [record for batch in self.plan for record in batch["checkpoints"]]
            return describe_batch(self.model, bucket, checkpoints)
        except (KeyError, TypeError, AttributeError) as err:
            raise InvalidRequest(
                f"plan: expected the output of a PlanReexportOperator, got {self.plan!r:.80}."
                " Pass its output."
            ) from err
