"""Between two published versions: what changes for those who ask them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redraw.records.results import AnswerComparison
from redraw.requests import CompareAnswersRequest
from redraw_airflow.operators.allowed import BUCKETS, CATALOGUES, WORK_FOLDERS
from redraw_airflow.operators.arguments import number, required, text, texts, version
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder, place
from redraw_airflow.operators.links import VersionLink
from redraw_airflow.settings import MODEL_BUCKET


class CompareAnswersOperator(StageOperator):
    """Ask two published versions the same requests; the record says how far their answers are apart.

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

    places = {
        **StageOperator.places,
        "bucket": [BUCKETS],
        "requests": [BUCKETS, CATALOGUES, WORK_FOLDERS],
    }
    kinds = {
        **StageOperator.kinds,
        "version": required(version),
        "other": version,
        "bucket": text,
        **dict.fromkeys(("requests", "slices"), texts),
        "tolerance": number,
    }
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
        self.version: Any = version
        self.other: Any = other
        self.bucket = bucket
        self.requests: Any = requests
        self.slices: Any = slices
        self.tolerance = tolerance

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """As `CompareAnswersRequest`."""
        given = {} if self.tolerance is None else {"tolerance": self.tolerance}
        return {
            "version": self.version,
            "other": self.other,
            "bucket": place("bucket", self.bucket, self.gcp_conn_id, MODEL_BUCKET),
            "requests": list(self.requests),
            "slice": list(self.slices),
            **given,
        }
