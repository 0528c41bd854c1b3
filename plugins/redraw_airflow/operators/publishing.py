"""Operators of publication: publish a version, make it live, roll back."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Context

from redraw.errors import InvalidRequest
from redraw.records import LivePointer, Release
from redraw.requests import LiveRequest, PushRequest
from redraw_airflow.operators.arguments import record, required, text, truth, version
from redraw_airflow.operators.base import ApprovedOperator, StageOperator
from redraw_airflow.operators.inputs import AnyRecord, RecordOrUri, TaskFolder
from redraw_airflow.operators.links import ReleaseLink, VersionLink


class PushModelOperator(ApprovedOperator):
    """Publish a validated export as an immutable version; its assets' events say which.

    Its XCom is the `Release` record as JSON values.

    Args:
        saved_model: The export's record, or the SavedModel's folder.
        report: The validation's report, or its file.
        bucket: `gs://` URI of the model bucket.
        make_live: Whether to make the version live, unless the live one was trained later, or
            validation found it significantly worse than the live one.
        signing_key: The key to sign the version with, on the worker: a private key's file, its `pkcs11:` URI,
            or `sigstore`.
        signing_certificate: File of the key's certificate, then those that issued it.
        approval: What an `ApproveReleaseOperator` returned: who approved, for the release record.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> push = PushModelOperator(
        ...     task_id="push",
        ...     model="mnist",
        ...     saved_model=export.output,
        ...     report=validate.output,
        ...     bucket="gs://models",
        ...     approval=approve.output,
        ... )
    """

    kinds = {
        **ApprovedOperator.kinds,
        **dict.fromkeys(("saved_model", "report"), required(record)),
        **dict.fromkeys(("bucket", "signing_key", "signing_certificate"), text),
        "make_live": truth,
    }
    stage, request_type, record_type = "push", PushRequest, Release
    changes_models = True
    operator_extra_links = (VersionLink(), ReleaseLink())

    def __init__(
        self,
        *,
        saved_model: RecordOrUri,
        report: RecordOrUri,
        bucket: str | None = None,
        make_live: bool | str = False,
        signing_key: str | None = None,
        signing_certificate: str | None = None,
        approval: AnyRecord | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `PushRequest`."""
        return {
            **self.arguments("saved_model", "report", "make_live", "signing_key", "signing_certificate"),
            "bucket": self.bucket_or_default(),
            "approved_by": (self.approval or {}).get("approved_by"),
        }

    def execute(self, context: Context) -> dict[str, Any]:
        """Push, and add the version to the assets' events.

        Raises:
            AirflowFailException: An error that a retry cannot fix.
            AirflowException: An error that a retry may fix.
        """
        record = self.run_stage(context).to_json()
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                extra = {key: record[key] for key in ("model", "version", "uri", "digest")}
                extra["metrics"] = record["checkpoint"]["metrics"]
                context["outlet_events"][outlet].extra = extra
        return record


class SetLiveOperator(StageOperator):
    """Make a published version live, or put the label `canary` on it.

    Its XCom is the `LivePointer` record as JSON values.

    Args:
        version: The version, or a push's record.
        bucket: `gs://` URI of the model bucket.
        version_label: `stable`, the live version's label, or `canary`, which leaves the live version as it
            is.
        allow_older: The reason for making a version live whose weights are older than the live one's.
        allow_rejected: The reason for making a version live that somebody rolled back from.
        reason: For the history of the live pointer.
        public_key: File of the public key that must confirm the signature, on the worker.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> canary = SetLiveOperator(
        ...     task_id="canary",
        ...     model="mnist",
        ...     version=push.output,
        ...     bucket="gs://models",
        ...     version_label="canary",
        ... )
    """

    kinds = {
        **StageOperator.kinds,
        "version": version,
        **dict.fromkeys(
            ("bucket", "version_label", "allow_older", "allow_rejected", "reason", "public_key"), text
        ),
    }
    stage, request_type, record_type = "live", LiveRequest, LivePointer
    changes_models = True
    operator_extra_links = (VersionLink(),)

    def __init__(
        self,
        *,
        version: int | RecordOrUri | None,
        bucket: str | None = None,
        version_label: str | None = None,
        allow_older: str | None = None,
        allow_rejected: str | None = None,
        reason: str | None = None,
        public_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `LiveRequest`."""
        if self.version is None:
            raise InvalidRequest(
                "version: expected a version to make live, got none. Pass the argument version."
            )
        if self.version_label not in {None, "stable", "canary"}:
            raise InvalidRequest(
                f"version_label: expected stable or canary, got {self.version_label!r:.80}. Correct the"
                " argument."
            )
        return {"set": self.version, "label": self.version_label, **self._other_fields()}

    def _other_fields(self) -> dict[str, Any]:
        names = ("allow_older", "allow_rejected", "reason", "public_key")
        return {"bucket": self.bucket_or_default(), **self.arguments(*names)}


class RollBackOperator(SetLiveOperator):
    """Make a version live that was live before: by default the one before the live version.

    The version that was live is then rejected. So a second try without `version` fails: set `retries=0`.
    Its XCom is the `LivePointer` record as JSON values.

    Args:
        version: The version, or a push's record; None or empty for the one before the live one.
        kwargs: The other arguments of `SetLiveOperator`.

    Example:
        >>> back = RollBackOperator(
        ...     task_id="back", model="mnist", bucket="gs://models", reason="misreads sevens", retries=0
        ... )
    """

    def __init__(self, *, version: int | RecordOrUri | None = None, **kwargs: Any) -> None:
        super().__init__(version=version, **kwargs)

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `LiveRequest`."""
        if self.version is None:
            return {"previous": True, **self._other_fields()}
        return super().request_fields(folder)
