"""The last task of a reexport: the outcome of every planned checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context

from redraw.errors import CheckpointsFailed, InvalidRequest
from redraw.names import ModelName
from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw.uri import Uri
from redraw_airflow.operators.arguments import Kind, TakesArguments, required, text
from redraw_airflow.operators.base import REPORT_KEY
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.operators.reexporting import PLAN_KEY

SUMMARY_KEY = "summary"

_LOST = "the task of this batch ended without a report; see its log"


class SummarizeReexportOperator(BaseOperator, TakesArguments):
    """List which checkpoints were exported, were already there, or failed, as a table in the log.

    If a checkpoint failed, so does this task, and so does the run: Airflow takes a run's state from its
    last tasks.

    Its XCom is one `ReexportReport` record of all batches, as JSON values.

    Args:
        model: The definition's name.
        bucket: `gs://` URI of the model bucket.
        planned_by: The id of the task that planned the batches.
        done_by: The id of the mapped task that exported them.
        kwargs: Those of `BaseOperator`.

    Example:
        >>> summary = SummarizeReexportOperator(
        ...     task_id="summary",
        ...     model="mnist",
        ...     bucket="gs://models",
        ...     planned_by="plan",
        ...     done_by="reexport",
        ... )
    """

    template_fields: Sequence[str] = ("model", "bucket", "planned_by", "done_by")
    kinds: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("model", "planned_by", "done_by"), required(text)),
        "bucket": text,
    }
    ui_color = "#e8f0fe"

    def __init__(
        self, *, model: str, planned_by: str, done_by: str, bucket: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def execute(self, context: Context) -> dict[str, Any]:
        """Sum up; a failed task has the XCom `summary`, too.

        Returns:
            One `ReexportReport` record of all batches, as JSON values.

        Raises:
            AirflowFailException: The plan is missing, or a checkpoint failed.
        """
        with keeping_failure(context, "summary", self.model):
            self.take_arguments()
            return self._sum_up(context["ti"]).to_json()

    def _sum_up(self, ti: Any) -> ReexportReport:
        batches = ti.xcom_pull(task_ids=self.planned_by, key=PLAN_KEY)
        if batches is None:
            raise InvalidRequest(
                f"task {self.planned_by}: expected a plan, got none. Clear that task to run it again; if it"
                " fails, see its log."
            )
        rows: list[ReexportedCheckpoint] = []
        seconds = 0.0
        for number, batch in enumerate(batches):
            report = ti.xcom_pull(task_ids=self.done_by, key=REPORT_KEY, map_indexes=number)
            rows += _rows(batch, report)
            seconds += report["seconds"] if report else 0.0
        summary = ReexportReport(
            model=ModelName(self.model),
            bucket=Uri(self.bucket or ""),
            checkpoints=tuple(rows),
            seconds=round(seconds, 3),
        )
        ti.xcom_push(key=SUMMARY_KEY, value=summary.to_json())
        self.log.info("%s\n%s", _sums(summary), "\n".join(_table(summary)))
        if summary.with_outcome("failed"):
            raise CheckpointsFailed(f"{_sums(summary)}. Failed: {summary.failures_text()}")
        return summary


def _rows(batch: Mapping[str, Any], report: Any) -> Sequence[ReexportedCheckpoint]:
    if report is not None:
        return ReexportReport.from_json(report).checkpoints
    return [
        ReexportedCheckpoint(
            uri=record["uri"],
            outcome="failed",
            seconds=0.0,
            step=record["step"],
            trained_at=record["trained_at"],
            reason=_LOST,
        )
        for record in batch["checkpoints"]
    ]


def _sums(summary: ReexportReport) -> str:
    counts = (
        f"{len(summary.with_outcome(outcome))} {outcome}"
        for outcome in ("exported", "already there", "failed")
    )
    return f"{summary.model}: {', '.join(counts)}"


def _table(summary: ReexportReport) -> Iterator[str]:
    """A table in Markdown."""
    yield "| Step | Trained | Outcome | Version | Seconds | Reason or URI |"
    yield "|---|---|---|---|---|---|"
    for row in summary.checkpoints:
        step, trained, version = row.step or "", row.trained_at or "", row.version or ""
        detail = (row.reason or row.uri).replace("|", "\\|")
        yield f"| {step} | {trained} | {row.outcome} | {version} | {row.seconds:.2f} | {detail} |"
