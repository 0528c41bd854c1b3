from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import kubernetes_validate
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes import client as k8s

from redraw.records import TrainingRun
from redraw.records.results import ModelList
from redraw_airflow.operators.base import StageOperator
from redraw_airflow.operators.inputs import TaskFolder
from redraw_airflow.operators.training import (
    CheckpointOperator,
    ExportSavedModelOperator,
    PushModelOperator,
    TrainOperator,
    ValidateSavedModelOperator,
)
from redraw_airflow.stages.outcome import read_record
from redraw_airflow.stages.pod import StagePod
from tests.paths import ROOT

RUN = TrainingRun(model="mnist", uri="gs://work/run", run="run", step=100).to_json()
POD: dict[str, Any] = {
    "image": "registry.example/redraw-tensorflow:1",
    "namespace": "models",
    "service_account_name": "redraw-trainer",
    "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
    "tolerations": [k8s.V1Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")],
    "container_resources": k8s.V1ResourceRequirements(
        requests={"cpu": "2", "memory": "8Gi"}, limits={"memory": "8Gi", "nvidia.com/gpu": "1"}
    ),
    "env_vars": {"REDRAW_SCRATCH_BYTES": "50000000000"},
    "in_cluster": False,
}
# The provider reads where its cluster is before it renders a pod; nothing is asked of it.
KUBE_CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "users": [{"name": "nobody", "user": {}}],
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "nobody"}}],
}
STAGES: list[tuple[type[StageOperator], dict[str, Any]]] = [
    (TrainOperator, {}),
    (CheckpointOperator, {"training_run": RUN, "catalogue": "gs://checkpoints"}),
    (ExportSavedModelOperator, {"checkpoint": "gs://checkpoints/mnist/100-abc"}),
    (ValidateSavedModelOperator, {"saved_model": "gs://work/export"}),
    (
        PushModelOperator,
        {"saved_model": "gs://work/e", "report": "gs://work/r.json", "bucket": "gs://models"},
    ),
]


@pytest.fixture(autouse=True)
def kube_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kube.json"
    path.write_text(json.dumps(KUBE_CONFIG))
    monkeypatch.setitem(POD, "config_file", str(path))


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("REDRAW_WORK", "gs://work")
    monkeypatch.setenv("REDRAW_MODELS", "redraw.models,my_models")
    ti = SimpleNamespace(dag_id="dag", run_id="manual__1", task_id="task", map_index=-1, try_number=2)
    return {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ada")}


def make_pod(operator: StageOperator, context: dict[str, Any]) -> StagePod:
    operator.take_arguments()
    fields = operator.request_fields(TaskFolder(None, "mnist", context["ti"]))
    request = operator.request_type.from_json({"model": "mnist", **fields}).to_json()
    return StagePod(stage=operator.stage, request=request, pod=POD, task_id=operator.task_id)


def rendered(pod: StagePod) -> dict[str, Any]:
    request = pod.build_pod_request_obj()
    manifest: dict[str, Any] = k8s.ApiClient(k8s.Configuration()).sanitize_for_serialization(request)
    return manifest


def base_container(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = [one for one in manifest["spec"]["containers"] if one["name"] == "base"]
    return cast(dict[str, Any], container)


@pytest.mark.parametrize(("operator", "arguments"), STAGES, ids=lambda value: getattr(value, "stage", ""))
def test_pod_of_each_stage_keeps_kubernetes_own_schema(
    operator: type[StageOperator], arguments: dict[str, Any], context: dict[str, Any]
) -> None:
    made = operator(task_id="stage", model="mnist", **arguments)

    manifest = rendered(make_pod(made, context))

    kubernetes_validate.validate(manifest, "1.33", strict=True)
    container, environment = base_container(manifest), {}
    for variable in container["env"]:
        environment[variable["name"]] = variable.get("value")
    assert (
        made.request_type.from_json(json.loads(environment["REDRAW_REQUEST"])).to_json()["model"] == "mnist"
    )
    assert environment["REDRAW_MODELS"] == "redraw.models,my_models"
    assert container["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert manifest["spec"]["serviceAccountName"] == "redraw-trainer"


def test_pod_of_a_stage_has_no_rights_and_writes_into_its_scratch_alone(context: dict[str, Any]) -> None:
    manifest = rendered(make_pod(TrainOperator(task_id="train", model="mnist"), context))

    container = base_container(manifest)
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert set(mounts) == {"/tmp", "/airflow/xcom"}  # noqa: S108 - the pod's
    assert {"name": mounts["/tmp"], "emptyDir": {}} in manifest["spec"]["volumes"]  # noqa: S108
    for other in manifest["spec"]["containers"]:
        assert other["securityContext"]["allowPrivilegeEscalation"] is False


def test_pod_gets_the_engine_s_options_of_airflow_s_configuration(
    context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDRAW_MODELS")
    monkeypatch.setenv("AIRFLOW__REDRAW__MODELS", "my_models")
    monkeypatch.setenv("AIRFLOW__REDRAW__STORAGE_TIMEOUT", "7")
    monkeypatch.setenv("AIRFLOW__REDRAW__CACHE", "/of-the-worker")

    container = base_container(rendered(make_pod(TrainOperator(task_id="train", model="mnist"), context)))

    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert (environment["REDRAW_MODELS"], environment["REDRAW_STORAGE_TIMEOUT"]) == ("my_models", "7")
    assert "REDRAW_CACHE" not in environment


def test_schema_check_refuses_a_field_that_kubernetes_does_not_know(context: dict[str, Any]) -> None:
    manifest = rendered(make_pod(TrainOperator(task_id="train", model="mnist"), context))
    base_container(manifest)["resource"] = {}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def run_container(pod: StagePod, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The container's command line, with the environment that the pod gives it and no other."""
    container = base_container(rendered(pod))
    command = [part.replace("/airflow/xcom", str(folder)) for part in container["command"]]
    environment = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    image = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": os.fspath(ROOT)}
    return subprocess.run(
        [*command, *container["args"]],
        env={**image, **environment, **more},
        capture_output=True,
        text=True,
        cwd=folder.parent,
    )


def test_container_s_command_line_in_a_clean_environment_leaves_the_record(tmp_path: Path) -> None:
    pod = StagePod(stage="models", request={}, pod=POD, task_id="models")

    done = run_container(pod, tmp_path / "xcom", REDRAW_MODELS="redraw.models")

    assert done.returncode == 0, done.stderr
    record = ModelList.from_json(json.loads((tmp_path / "xcom" / "return.json").read_text()))
    assert "mnist" in [model.name for model in record.models]


class EndedPod(StagePod):
    """A pod that has run already: the rest of its way needs no cluster."""

    container: k8s.V1ContainerStateTerminated
    printed: Any = None

    def execute_sync(self, context: Any) -> None:
        state = k8s.V1ContainerState(terminated=self.container)
        base = k8s.V1ContainerStatus(
            name="base", image="i", image_id="i", ready=False, restart_count=0, state=state
        )
        status = k8s.V1PodStatus(
            phase="Failed" if self.container.exit_code else "Succeeded", container_statuses=[base]
        )
        pod = k8s.V1Pod(
            metadata=k8s.V1ObjectMeta(name="pod"), spec=k8s.V1PodSpec(containers=[]), status=status
        )
        self._printed = self.printed
        self.cleanup(pod, pod)

    def is_istio_enabled(self, pod: Any) -> bool:
        """Nothing is there to be asked."""
        return False

    def patch_already_checked(self, pod: Any, *, reraise: bool = True) -> None:
        """Nothing is there to be patched."""

    def process_pod_deletion(self, pod: Any, *, reraise: bool = True) -> bool:
        """Nothing is there to be deleted."""
        return True


def end(code: int, message: str, printed: Any = None) -> EndedPod:
    pod = EndedPod(stage="train", request={}, pod=POD, task_id="train")
    pod.container = k8s.V1ContainerStateTerminated(exit_code=code, message=message)
    pod.printed = printed
    return pod


def test_run_stage_of_a_pod_that_ended_well_gives_its_record(context: dict[str, Any]) -> None:
    finished = end(0, "", RUN).run_stage(cast(Any, context), None)

    assert read_record(finished, TrainingRun).to_json() == RUN


@pytest.mark.parametrize(
    ("code", "message", "error", "reported"),
    [
        (1, "INFO a: b\nerror [DiskFull]: no room", AirflowFailException, "no room"),
        (1, "error [StorageUnavailable]: later", AirflowException, "later"),
        (137, "INFO a: b", AirflowException, "killed by SIGKILL.*memory limit"),
        (2, "Traceback", AirflowException, "status 2"),
    ],
)
def test_run_stage_of_a_pod_that_failed_fails_as_a_process_does(
    context: dict[str, Any], code: int, message: str, error: type[Exception], reported: str
) -> None:
    finished = end(code, message).run_stage(cast(Any, context), None)

    with pytest.raises(AirflowException, match=reported) as raised:
        read_record(finished, TrainingRun)
    assert isinstance(raised.value, error)
    assert isinstance(raised.value, AirflowFailException) is (error is AirflowFailException)


@pytest.mark.parametrize("code", [0, None], ids=["ended well", "vanished"])
def test_run_stage_of_a_pod_that_cannot_be_read_raises_what_the_operator_says(
    code: int | None, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = end(0, "", RUN)

    def lose(context: Any) -> None:
        pod._final_state = None if code is None else pod.container
        raise AirflowException("the sidecar is gone")

    monkeypatch.setattr(pod, "execute_sync", lose)
    with pytest.raises(AirflowException, match="the sidecar is gone"):
        pod.run_stage(cast(Any, context), None)


@pytest.mark.parametrize(
    ("arguments", "work", "reported"),
    [
        ({"launcher": "docker"}, "gs://work", "launcher: expected process or kubernetes, got 'docker'"),
        ({"launcher": "kubernetes", "pod": POD}, "/work", "expected a work folder in a bucket, got '/work/"),
        ({"launcher": "kubernetes"}, "gs://work", "pod: expected an image"),
    ],
)
def test_execute_with_a_launcher_that_cannot_work_fails_at_once(
    context: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    work: str,
    reported: str,
) -> None:
    monkeypatch.setenv("REDRAW_WORK", work)
    operator = TrainOperator(task_id="train", model="mnist", **arguments)

    with pytest.raises(AirflowFailException, match=reported):
        operator.execute(cast(Any, context))
