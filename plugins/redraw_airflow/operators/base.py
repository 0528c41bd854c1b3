"""What the operators have in common: they run a stage in a process of its own, or in a pod.

An operator names its stage and its arguments; everything else is here.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.sdk import Context
from airflow.sdk.types import RuntimeTaskInstanceProtocol

from redraw.errors import InvalidRequest
from redraw.records import Record
from redraw.requests import Request
from redraw_airflow.operators.approval import demand_approval
from redraw_airflow.operators.arguments import Kind, mapping, required, text
from redraw_airflow.operators.assets import CHANGES, update_assets
from redraw_airflow.operators.failures import keeping_failure
from redraw_airflow.operators.inputs import TaskFolder, describe_run, place
from redraw_airflow.operators.lineage import describe_lineage, trace_arguments, trace_record
from redraw_airflow.operators.places import PlacesOperator
from redraw_airflow.settings import DEFAULT_CONNECTION, LAUNCHER, MODEL_BUCKET
from redraw_airflow.stages.metrics import send_duration, send_size
from redraw_airflow.stages.outcome import printed_record, read_record
from redraw_airflow.stages.process import FinishedStage, StageProcess

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from redraw_airflow.stages.pod import StagePod

# The XCom of a record that a failed task has, too.
REPORT_KEY = "report"

R = TypeVar("R", bound=Record)


class StageOperator(PlacesOperator):
    """Runs one stage of `python -m redraw` and returns its record.

    Args:
        model: The definition's name.
        gcp_conn_id: The Airflow connection that grants access to the buckets.
        work_dir: The folder for scratch.
        python: The interpreter that has TensorFlow.
        launcher: `process`, or `kubernetes` for a pod, which needs the provider cncf.kubernetes and a work
            folder in a bucket; `REDRAW_LAUNCHER` by default.
        pod: For a pod: arguments of `KubernetesPodOperator`, at least `image`.
        kwargs: Those of `BaseOperator`.
    """

    ui_color = "#e8f0fe"

    kinds: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("model", "gcp_conn_id"), required(text)),
        **dict.fromkeys(("work_dir", "python", "launcher"), text),
        "pod": mapping,
    }
    stage: ClassVar[str]
    request_type: ClassVar[type[Request]]
    record_type: ClassVar[type[Record]]
    # Whether its stage prints its record even if it fails; the record is then the XCom `report`.
    reports: ClassVar[bool] = False
    # Whether it changes a published model and updates the model's asset.
    changes_models: ClassVar[bool] = False

    _running: StageProcess | StagePod | None = None
    _event: Mapping[str, Any] | None = None
    model: str
    record: Record | None = None

    def __init__(
        self,
        *,
        model: str,
        gcp_conn_id: str = DEFAULT_CONNECTION,
        work_dir: str | None = None,
        python: str | None = None,
        launcher: str | None = None,
        pod: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.changes_models:
            self.outlets = [*self.outlets, CHANGES]
        self.keep_arguments(locals())

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the stage.

        Args:
            context: Airflow's context.

        Returns:
            The stage's record, as JSON values.

        Raises:
            AirflowFailException: An error that a retry cannot fix.
            AirflowException: An error that a retry may fix.
        """
        return self.run_stage(context).to_json()

    def trigger_reentry(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Read the result of a deferrable pod after the triggerer has seen its end.

        Raises:
            AirflowFailException: An error that a retry cannot fix.
            AirflowException: An error that a retry may fix.
        """
        self._event = event
        return self.execute(context)

    def run_stage(self, context: Context) -> Record:
        """Run the stage and read its record; an error is left as the XCom `failure`.

        Raises:
            AirflowFailException: An error that a retry cannot fix.
            AirflowException: An error that a retry may fix.
        """
        with keeping_failure(context, self.stage_and_request()[0], self.model):
            finished = self._finish_stage(context)
            if self.reports and (printed := printed_record(finished, self.record_type)) is not None:
                self.record = printed
                context["ti"].xcom_push(key=REPORT_KEY, value=printed.to_json())
            record = self.keep_record(read_record(finished, self.record_type))
            update_assets(context, record)
            return record

    def _finish_stage(self, context: Context) -> FinishedStage:
        """Run the stage until it ends, with or without an error.

        Raises:
            RedrawError: The request is wrong.
            AirflowFailException: The interpreter cannot be started.
            AirflowException: The pod cannot be started, or vanished.
            TaskDeferred: The pod is `deferrable`.
        """
        self.take_allowed_arguments(context)
        folder = TaskFolder(self.work_dir, self.model, context["ti"])
        fields = {**self.request_fields(folder), **self.run_fields(context)}
        stage, request_type = self.stage_and_request()
        request = request_type.from_json({"model": self.model, **fields})
        launcher = self._launcher(folder)
        listen = self.watch_stage(context, folder)
        if launcher == "kubernetes":
            return self._run_pod(context, stage, request)
        self._running = StageProcess(
            stage=stage,
            request=request.to_json(),
            gcp_conn_id=self.gcp_conn_id,
            python=self.python,
            listen=listen,
        )
        started = time.monotonic()
        try:
            return self._running.run()
        finally:
            send_duration(stage, self.model, time.monotonic() - started)

    def keep_record(self, record: R) -> R:
        """Keep the stage's record for metrics, lineage and links, and return it."""
        self.record = record
        send_size(self.stage_and_request()[0], self.model, record)
        return record

    def get_openlineage_facets_on_complete(
        self, ti: RuntimeTaskInstanceProtocol
    ) -> OperatorLineage[Any, Any]:
        """The checkpoints and versions that the task read and wrote, for Airflow's OpenLineage provider."""
        inputs, outputs = trace_record(self.record)
        return describe_lineage(inputs, outputs)

    def get_openlineage_facets_on_failure(self, ti: RuntimeTaskInstanceProtocol) -> OperatorLineage[Any, Any]:
        """The same for a task that failed, as far as it is known."""
        inputs, outputs = trace_record(self.record)
        arguments = trace_arguments(getattr(self, name) for name in self.template_fields)
        return describe_lineage(inputs or arguments, outputs)

    def stage_and_request(self) -> tuple[str, type[Request]]:
        """The stage and the type of its request; an operator may choose them by an argument."""
        return self.stage, self.request_type

    def _launcher(self, folder: TaskFolder) -> str:
        launcher = self.launcher or LAUNCHER.read()
        if launcher not in {"process", "kubernetes"}:
            raise InvalidRequest(
                f"launcher: expected process or kubernetes, got {launcher!r:.80}. Correct the argument"
                " launcher, or"
                " REDRAW_LAUNCHER."
            )
        if launcher == "kubernetes" and not folder.for_all_tries().is_bucket:
            raise InvalidRequest(
                "launcher kubernetes: expected a work folder in a bucket, got"
                f" {folder.for_all_tries()!r:.200}, which a pod cannot read. Set REDRAW_WORK to gs://…."
            )
        if launcher == "kubernetes" and "image" not in (self.pod or {}):
            raise InvalidRequest(
                "pod: expected an image to run the stage in, got none. Pass pod={'image': …}. For all"
                " stages, set it in the DAG's default_args."
            )
        return launcher

    def _run_pod(self, context: Context, stage: str, request: Request) -> FinishedStage:
        # Imported here because only pods need the provider.
        from redraw_airflow.stages.pod import StagePod

        pod = StagePod(
            stage=stage,
            request=request.to_json(),
            pod=self.pod or {},
            task_id=self.task_id,
            execution_timeout=self.execution_timeout,
        )
        self._running = pod
        return pod.run_stage(context, self._event)

    def request_fields(self, folder: TaskFolder) -> dict[str, Any]:
        """The request's JSON without the model and the run; `folder` is where the task may write."""
        raise NotImplementedError

    def watch_stage(self, context: Context, folder: TaskFolder) -> Callable[[str], None] | None:
        """Prepare before the stage starts; the result is called with each line of the log of a process."""
        return None

    def run_fields(self, context: Context) -> dict[str, Any]:
        """The fields of the request that say who started which run, and in which try."""
        names = {field.name for field in dataclasses.fields(self.stage_and_request()[1])}
        return {name: value for name, value in describe_run(context).items() if name in names}

    def arguments(self, *names: str) -> dict[str, Any]:
        """Arguments that go into the request unchanged, by name."""
        return {name: getattr(self, name) for name in names}

    def bucket_or_default(self) -> str:
        """The argument `bucket`, or else the connection's, or `REDRAW_MODEL_BUCKET`.

        Raises:
            InvalidRequest: None of them names a bucket.
            InvalidSetting: The setting is malformed.
        """
        return place("bucket", self.bucket, self.gcp_conn_id, MODEL_BUCKET)

    def on_kill(self) -> None:
        """End the stage and all that it started."""
        if self._running is not None:
            self._running.terminate()


class ApprovedOperator(StageOperator):
    """An operator that publishes, with the answer of an approval task in its argument `approval`."""

    kinds = {**StageOperator.kinds, "approval": mapping}

    def run_fields(self, context: Context) -> dict[str, Any]:
        """The fields that say who started which run, if the approval that the definition asks for is there.

        Raises:
            InvalidRequest: It is missing, or the person who gave it must not.
            UnknownModel: No package has the model.
        """
        approved_by = (self.approval or {}).get("approved_by")
        demand_approval(self.model, approved_by, context["dag_run"].triggering_user_name)
        return super().run_fields(context)
