"""Run one stage as a pod, with the Kubernetes provider's pod handling.

    operator ──request──► REDRAW_REQUEST ┐
             ◄──one JSON record── XCom   ├ python -m redraw STAGE --request …
    task log ◄──line by line── stderr    ┘
             ◄──the last lines── termination message, if it fails

The container runs the same command line as a stage's process, and its exit status means the same. It cannot
ask an operator for tokens: the pod's service account grants access (workload identity). It shares no disk, so
the work folder has to be in a bucket.

This module needs apache-airflow-providers-cncf-kubernetes. It is imported only if a stage runs as a pod.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException

from redraw.setting_kinds import environment_of
from redraw.settings import DOCS, MODELS, STORAGE_TIMEOUT, USER_PROJECT, WEBHOOKS
from redraw_airflow.compat import rendered_name, was_killed
from redraw_airflow.settings import REQUEST_VARIABLE
from redraw_airflow.stages.process import FinishedStage

if TYPE_CHECKING:
    from kubernetes.client import V1ContainerStateTerminated, V1Pod

# exec: the stage is the container's first process, so it gets the signal if the pod is deleted.
_SCRIPT = (
    f'mkdir -p /airflow/xcom && printf %s "${REQUEST_VARIABLE}" > /airflow/xcom/request.json'
    ' && exec python -m redraw "$0" --request /airflow/xcom/request.json > /airflow/xcom/return.json'
)
# A stage writes only to its scratch folder, and has no rights that it does not use. The argument `pod`
# replaces these. The image's user has to be a number other than 0.
_CONFINED = {"allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}}
_SECURITY = {
    **_CONFINED,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_SCRATCH, _SCRATCH_FOLDER = "redraw-scratch", "/tmp"  # noqa: S108 - only of the pod
# The settings that a stage needs wherever it runs; all others come from the pod.
_PASSED_ON = (DOCS, MODELS, STORAGE_TIMEOUT, USER_PROJECT, WEBHOOKS)


def _with_scratch(pod: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The pod's volumes, and one for the scratch folder if it has none there."""
    from kubernetes.client import V1EmptyDirVolumeSource, V1Volume, V1VolumeMount

    volumes, mounts = [*pod.get("volumes", ())], [*pod.get("volume_mounts", ())]
    if all(getattr(mount, "mount_path", "") != _SCRATCH_FOLDER for mount in mounts):
        volumes.append(V1Volume(name=_SCRATCH, empty_dir=V1EmptyDirVolumeSource()))
        mounts.append(V1VolumeMount(name=_SCRATCH, mount_path=_SCRATCH_FOLDER))
    return {"volumes": volumes, "volume_mounts": mounts}


class StagePod(KubernetesPodOperator):
    """One stage in a pod; used within a stage's operator, not in a DAG.

    Args:
        stage: The command of `python -m redraw`.
        request: The stage's request, as JSON values.
        pod: Arguments of `KubernetesPodOperator`: at least `image`; `namespace`, `container_resources`,
            `node_selector`, `tolerations`, `service_account_name`, `deferrable` and so on.
        kwargs: Those of `BaseOperator`.
    """

    def __init__(
        self, *, stage: str, request: Mapping[str, Any], pod: Mapping[str, Any], **kwargs: Any
    ) -> None:
        passed_on = {"HOME": _SCRATCH_FOLDER, **environment_of(_PASSED_ON)}
        options = {
            "name": f"redraw-{stage}",
            "on_finish_action": "delete_pod",
            "container_security_context": _SECURITY,
            "xcom_sidecar_container_security_context": _CONFINED,
            **pod,
            **_with_scratch(pod),
        }
        super().__init__(
            **kwargs,
            **options,
            cmds=["sh", "-c", _SCRIPT],
            arguments=[stage],
            do_xcom_push=True,
            # The last line of a failing stage is its error.
            termination_message_policy="FallbackToLogsOnError",
            log_pod_spec_on_failure=False,
        )
        env_vars = self.env_vars
        if isinstance(env_vars, dict):
            self.env_vars = {**passed_on, **env_vars, REQUEST_VARIABLE: json.dumps(request, allow_nan=False)}
        else:
            from kubernetes.client import V1EnvVar

            variables = {**passed_on, REQUEST_VARIABLE: json.dumps(request, allow_nan=False)}
            self.env_vars = [
                *(V1EnvVar(name=key, value=value) for key, value in variables.items()),
                *env_vars,
            ]
        self._stage = stage
        self._printed: Any = None
        self._final_state: V1ContainerStateTerminated | None = None

    def run_stage(self, context: Context, event: Mapping[str, Any] | None) -> FinishedStage:
        """Run the pod until it ends, or wait for it in the triggerer.

        Args:
            context: Airflow's context.
            event: The triggerer's event, if the task resumes after the triggerer has waited for the pod.

        Returns:
            How the stage ended, also if it failed.

        Raises:
            AirflowException: The pod could not be started, or vanished.
            TaskDeferred: The pod is `deferrable`; the task resumes with an event.
        """
        self.name = rendered_name(self)
        try:
            if event is not None:
                self.trigger_reentry(context, dict(event))
            elif self.deferrable:
                self.execute_async(context)
            else:
                self.execute_sync(context)
        except AirflowException:
            if self._final_state is None or self._final_state.exit_code == 0:
                raise
        state = self._final_state
        return FinishedStage(
            stage=self._stage,
            returncode=state.exit_code if state else 0,
            stdout=b"" if self._printed is None else json.dumps(self._printed, allow_nan=False).encode(),
            last_lines=tuple((state.message or "").splitlines()) if state else (),
            stopped=was_killed(self),
        )

    def terminate(self) -> None:
        """Delete the pod."""
        self.on_kill()

    def extract_xcom(self, pod: V1Pod, **options: Any) -> dict[Any, Any] | None:
        """Read the record that the stage printed; a failed stage may have none."""
        printed: dict[Any, Any] | None = super().extract_xcom(pod, **options)
        self._printed = printed
        return printed

    def cleanup(self, pod: V1Pod, remote_pod: V1Pod, *arguments: Any, **options: Any) -> None:
        """Note how the container ended, before the pod is deleted."""
        statuses = (remote_pod.status.container_statuses if remote_pod and remote_pod.status else None) or []
        states = [status.state for status in statuses if status.name == self.base_container_name]
        self._final_state = states[0].terminated if states and states[0] else None
        super().cleanup(pod, remote_pod, *arguments, **options)
