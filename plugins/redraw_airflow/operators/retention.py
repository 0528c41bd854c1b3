"""Operators for published versions: mark one, and remove old ones."""

from __future__ import annotations

from typing import Any

from redraw.errors import InvalidRequest
from redraw.records import LivePointer
from redraw.records.results import PruneReport
from redraw.requests import LiveRequest, PinRequest, PruneRequest, Request
from redraw_airflow.operators.arguments import integer, number, required, text, truth, version
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder
from redraw_airflow.operators.links import VersionLink

# The marks of the stage `live`, then those of `pin`, each with its arguments except the version.
_LABELS: dict[str, dict[str, Any]] = {
    "canary": {"label": "canary"},
    "uncanary": {"label": "canary", "remove_label": True},
}
_PINS: dict[str, dict[str, Any]] = {"pin": {"unpin": False}, "unpin": {"unpin": True}}


class MarkVersionOperator(StageOperator):
    """Label a version as `canary`, pin it, or undo either.

    Its XCom is the `LivePointer` record as JSON values.

    Args:
        version: The version, or a push's record.
        mark: `canary`, `uncanary`, `pin` or `unpin`.
        reason: For the history of the live pointer; required for a pin.
        bucket: `gs://` URI of the model bucket.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> pin = MarkVersionOperator(
        ...     task_id="pin",
        ...     model="mnist",
        ...     version=push.output,
        ...     mark="pin",
        ...     reason="audit of 2026",
        ...     bucket="gs://models",
        ... )
    """

    kinds = {
        **StageOperator.kinds,
        "version": version,
        "mark": required(text),
        **dict.fromkeys(("reason", "bucket"), text),
    }
    record_type = LivePointer
    changes_models = True
    operator_extra_links = (VersionLink(),)

    def __init__(
        self,
        *,
        version: int | RecordOrUri,
        mark: str,
        reason: str | None = None,
        bucket: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def stage_and_request(self) -> tuple[str, type[Request]]:
        """`live`, which moves labels, or `pin`."""
        # Before it is converted by its kind it may be anything.
        pins = isinstance(self.mark, str) and self.mark in _PINS
        return ("pin", PinRequest) if pins else ("live", LiveRequest)

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `PinRequest` or a `LiveRequest`."""
        marks = {**_LABELS, **_PINS}
        if self.mark not in marks:
            raise InvalidRequest(
                f"mark: expected one of {', '.join(marks)}, got {self.mark!r:.80}. Correct the argument."
            )
        if self.version is None:
            raise InvalidRequest("version: expected a version to mark, got none. Pass the argument version.")
        # The label is removed from the version that has it.
        chosen = {"version": self.version} if self.mark in _PINS else {"set": self.version}
        return {
            "bucket": self.bucket_or_default(),
            "reason": self.reason,
            **({} if self.mark == "uncanary" else chosen),
            **marks[self.mark],
        }


class PruneOperator(StageOperator):
    """Remove old versions; the live one, the one before it, and labelled or pinned ones always stay.

    Its XCom is the `PruneReport` record as JSON values.

    Args:
        bucket: `gs://` URI of the model bucket.
        keep: How many versions stay, those with the newest weights.
        keep_days: For how many days after its push a version stays.
        apply: Whether to remove them; otherwise the record lists what would be removed.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> prune = PruneOperator(task_id="prune", model="mnist", bucket="gs://models", keep=10, apply=True)
    """

    kinds = {**StageOperator.kinds, "bucket": text, "keep": integer, "keep_days": number, "apply": truth}
    stage, request_type, record_type = "prune", PruneRequest, PruneReport
    changes_models = True

    def __init__(
        self,
        *,
        bucket: str | None = None,
        keep: int | str | None = None,
        keep_days: float | str | None = None,
        apply: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `PruneRequest`."""
        return {"bucket": self.bucket_or_default(), **self.arguments("keep", "keep_days", "apply")}
