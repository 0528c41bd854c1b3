"""The operator that logs a published version to MLflow."""

from __future__ import annotations

from typing import Any

from redraw.records.results import LoggedVersion
from redraw.requests import LogToMlflowRequest
from redraw_airflow.operators.arguments import text, version
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder


class LogToMlflowOperator(StageOperator):
    """Log a version to the MLflow server of the worker's `MLFLOW_TRACKING_URI`, and update the alias `live`.

    Put it after the task that publishes: if the server is down, this task fails and the publication stands.

    Its XCom is the `LoggedVersion` record as JSON values.

    Args:
        version: The version, or a push's record; None or empty for the live one.
        bucket: `gs://` URI of the model bucket.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> log = LogToMlflowOperator(task_id="log", model="mnist", version=push.output, bucket="gs://models")
    """

    kinds = {**StageOperator.kinds, "version": version, "bucket": text}
    stage, request_type, record_type = "log-to-mlflow", LogToMlflowRequest, LoggedVersion

    def __init__(
        self, *, version: int | RecordOrUri | None = None, bucket: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `LogToMlflowRequest`."""
        return {"bucket": self.bucket_or_default(), "version": self.version}
