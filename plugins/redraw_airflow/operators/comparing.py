"""The operator that compares the answers of two published versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redraw.records.results import AnswerComparison
from redraw.requests import CompareAnswersRequest
from redraw_airflow.operators.arguments import argument, number, required, text, texts, version_number
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder
from redraw_airflow.operators.links import VersionLink


class CompareAnswersOperator(StageOperator):
    """Send two published versions the same requests; the record says how much their answers differ.

    Map it over files of requests: `CompareAnswersOperator.partial(…).expand(requests=files)`.

    Its XCom is the `AnswerComparison` record as JSON values.

    Args:
        version: The version to look at, or a push's record.
        other: The version that it is compared with; the live one by default.
        bucket: `gs://` URI of the model bucket.
        requests: Files of logged requests, paths or `gs://` URIs: JSON lines, or TFRecords of
            `PredictionLog`. By default the golden and the held-out examples.
        slices: Inputs, fields of logged requests or `label:OUTPUT` to sort rows by.
        tolerance: How much floats may differ, absolute and relative; by default the definition's
            `change_tolerance`.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> compare = CompareAnswersOperator(
        ...     task_id="compare",
        ...     model="mnist",
        ...     version=push.output,
        ...     bucket="gs://models",
        ...     requests=["gs://logs/monday.jsonl"],
        ... )
    """

    version = argument(required(version_number))
    other = argument(version_number)
    bucket = argument(text)
    requests = argument(texts)
    slices = argument(texts)
    tolerance = argument(number)
    stage, request_type, record_type = "compare-answers", CompareAnswersRequest, AnswerComparison
    operator_extra_links = (VersionLink(),)

    def __init__(
        self,
        *,
        version: int | RecordOrUri,
        other: int | RecordOrUri | None = None,
        bucket: str | None = None,
        requests: Sequence[str] | str | None = None,
        slices: Sequence[str] | str | None = None,
        tolerance: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `CompareAnswersRequest`."""
        tolerance = {} if self.tolerance is None else {"tolerance": self.tolerance}
        return {
            **self.arguments("version", "other"),
            "bucket": self.bucket_or_default(),
            "requests": self.requests,
            "slice": self.slices,
            **tolerance,
        }
