"""The operator that waits until the model servers have a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import jinja2
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from redraw.errors import VersionNotFound
from redraw.names import ModelName
from redraw.records import Rollout
from redraw.requests import RolloutRequest
from redraw.settings import SERVERS
from redraw.uri import BucketUri
from redraw_airflow.operators.allowed import demand_allowed_servers, is_literal, split_servers
from redraw_airflow.operators.arguments import number, seconds, text, texts, truth, version
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.operators.inputs import RecordOrUri, TaskFolder, waits_in_triggerer
from redraw_airflow.operators.links import VersionLink
from redraw_airflow.stages.credentials import using_connection

# The stage's timeout after the triggerer has seen the servers.
_LAST_LOOK_SECONDS = 30.0
# The triggerer may be restarted, and then counts from its start.
_SPARE_SECONDS = 600.0


class ConfirmRolloutOperator(StageOperator):
    """Wait until the model servers have a version and answer as recorded.

    Its XCom is the `Rollout` record as JSON values.

    Args:
        version: The version, or a push's record; the live one by default.
        servers: Their addresses, a list or with commas: `grpc://`, `http://`, `kserve+http://`, `k8s://`,
            `vertex://`; `REDRAW_SERVERS` by default. Those that a run names have to be in `REDRAW_SERVERS` or
            `REDRAW_ALLOWED_SERVERS`.
        bucket: `gs://` URI of the model bucket.
        timeout: How long to wait for the servers, in seconds or as a `timedelta`.
        tolerance: How much floats may differ; as recorded by default.
        on_failure: `report`, or `roll-back`: make the previous version live again, if this one still is.
        only_live: Whether to skip the task if the version is not the live one.
        deferrable: Whether to wait in the triggerer, without a worker; by default as Airflow's `[operators]
            default_deferrable` says.
        kwargs: `model`, the common arguments of operators, and those of `BaseOperator`.

    Example:
        >>> confirm = ConfirmRolloutOperator(
        ...     task_id="confirm",
        ...     model="mnist",
        ...     version=push.output,
        ...     bucket="gs://models",
        ...     servers=["grpc://models:8500"],
        ...     timeout=600,
        ...     deferrable=True,
        ... )
    """

    kinds = {
        **StageOperator.kinds,
        "version": version,
        "servers": texts,
        "timeout": seconds,
        "tolerance": number,
        **dict.fromkeys(("bucket", "on_failure"), text),
        "only_live": truth,
    }
    stage, request_type, record_type = "rollout", RolloutRequest, Rollout
    reports = True
    operator_extra_links = (VersionLink(),)

    servers: Any
    _rendered_servers: frozenset[str] | None = None

    def __init__(
        self,
        *,
        version: int | RecordOrUri | None = None,
        servers: Sequence[str] | str | None = None,
        bucket: str | None = None,
        timeout: timedelta | float | str | None = None,
        tolerance: float | str | None = None,
        on_failure: str | None = None,
        only_live: bool = False,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        self.deferrable = waits_in_triggerer(deferrable)

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render, and remember whether the DAG's author wrote the servers."""
        self._rendered_servers = frozenset() if is_literal(self.servers) else frozenset({"servers"})
        super().render_template_fields(context, jinja_env)

    def take_allowed_arguments(self, context: Context) -> None:
        """Demand that the places and the servers of the run are allowed, and convert every argument.

        Raises:
            InvalidRequest: An argument does not fit its kind, or a place or a server is not allowed.
        """
        super().take_allowed_arguments(context)
        servers = split_servers(self.servers)
        self.servers = servers or list(SERVERS.read())
        if self.arguments_of_run(context, self._rendered_servers, ["servers"]):
            demand_allowed_servers(servers)

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait, and return the record.

        Raises:
            AirflowFailException: A server does not have the version, or gives other answers.
            AirflowSkipException: The version is not live, and `only_live` is set.
            AirflowException: An error that a retry may fix.
            TaskDeferred: It is `deferrable`.
        """
        if self._event is not None:  # resumed after a deferrable pod, whose stage may have moved the pointer
            return super().execute(context)
        with keeping_failure(context, self.stage, self.model):
            self.take_allowed_arguments(context)
            self.version = settled = self._settled_version(context)
            # Wrong arguments fail now instead of after the wait.
            folder = TaskFolder(self.work_dir, self.model, context["ti"])
            RolloutRequest.from_json({"model": self.model, **self.request_fields(folder)})
        if self.deferrable:
            from redraw_airflow.rollout.trigger import RolloutTrigger

            trigger = RolloutTrigger(
                model=self.model,
                version=settled,
                servers=self.servers,
                timeout=self._timeout(),
                gcp_conn_id=self.gcp_conn_id,
            )
            spare = timedelta(seconds=self._timeout() + _SPARE_SECONDS)
            self.defer(trigger=trigger, method_name="confirm", timeout=spare)
        return super().execute(context)

    def confirm(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Run the stage after the triggerer's wait: it compares the answers and returns the record.

        Raises:
            AirflowFailException: A server does not have the version, or gives other answers.
            AirflowException: An error that a retry may fix.
        """
        if "error" in event:
            raise AirflowFailException(event["message"])
        self.version = event["version"]
        self.timeout = _LAST_LOOK_SECONDS if event["ready"] else 1.0
        return super().execute(context)

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The fields of a `RolloutRequest`."""
        return {
            **self.arguments("version", "servers", "tolerance"),
            "bucket": self.bucket_or_default(),
            "timeout": self._timeout(),
            "on_failure": self.on_failure or "report",
        }

    def _timeout(self) -> float:
        return RolloutRequest.timeout if self.timeout is None else float(self.timeout)

    def _settled_version(self, context: Context) -> int:
        """The version to wait for, which stays the same if somebody moves the pointer meanwhile."""
        # Imported here because the DAG processor reads no bucket.
        from redraw.publish.live.pointer import read_pointer
        from redraw.storage.opening import open_storage

        bucket = BucketUri(self.bucket_or_default())
        with using_connection(self.gcp_conn_id):
            pointer = read_pointer(open_storage(bucket), ModelName(self.model))
        live = pointer.version
        chosen: Any = live if self.version is None else self.version
        if chosen is None:
            raise VersionNotFound(
                f"{bucket}/{self.model}: expected a live version, found none. Pass the argument version, or"
                " make a version live."
            )
        reason = pointer.rejected.get(str(chosen))
        if self.only_live and chosen != live and reason is not None and context["ti"].try_number > 1:
            raise AirflowFailException(
                f"version {chosen}: the version was rolled back since the first try of this task: {reason}."
                " Look at the answers of the servers on the version's page."
            )
        if self.only_live and chosen != live:
            raise AirflowSkipException(
                f"version {chosen} is not live (live: {live or 'none'}): the servers do not need it"
            )
        return int(chosen)
