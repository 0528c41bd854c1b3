"""The connection type *Redraw model bucket*: its form, its test button, and operators that take it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

from redraw.errors import InvalidRequest, StorageForbidden
from redraw.storage.opening import open_storage
from redraw_airflow.hooks import RedrawHook
from redraw_airflow.operators.approving import ApproveReexportOperator, ApproveReleaseOperator
from redraw_airflow.operators.inputs import TaskFolder
from redraw_airflow.operators.publishing import PushModelOperator, SetLiveOperator
from redraw_airflow.operators.retention import PruneOperator
from redraw_airflow.operators.tracking import LogToMlflowOperator
from redraw_airflow.rollout.operator import ConfirmRolloutOperator
from redraw_airflow.sensors.sensors import CheckpointSensor, NewVersionSensor
from tests.redraw_airflow.deciding import EXPORT, REPORT

# As Airflow's API tests a connection: only by its type, in the process that answers.
_AS_THE_FORM = """
import json, sys
from airflow.models import Connection
connection = Connection(conn_id="models", conn_type="redraw", extra=json.loads(sys.argv[1]))
print(json.dumps([*connection.test_connection(), "tensorflow" in sys.modules]))
"""


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the connection `models`: `connect(bucket=…)`."""

    def make(conn_type: str = "redraw", **extra: Any) -> None:
        connection = {"conn_type": conn_type, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MODELS", json.dumps(connection))

    return make


def test_form_of_a_connection_offers_the_type_with_its_fields() -> None:
    (meta,) = (one for one in HookMetaService.hook_meta_data() if one.connection_type == "redraw")
    assert meta.hook_name == "Redraw model bucket"
    assert meta.extra_fields is not None
    assert list(meta.extra_fields) == [
        "bucket",
        "catalogue",
        "key_path",
        "keyfile_dict",
        "impersonation_chain",
        "project",
        "user_project",
        "is_anonymous",
    ]
    assert meta.extra_fields["keyfile_dict"]["schema"]["format"] == "password"
    assert meta.standard_fields is not None
    assert meta.standard_fields.password is not None
    assert meta.standard_fields.password.hidden


def test_test_button_lists_bucket_and_catalogue_without_tensorflow(
    bucket: str, connect: Any, tmp_path: Path
) -> None:
    open_storage(bucket).create("digits/live.json", b"{}")
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "record.json").write_text("{}")
    connect(bucket=bucket, catalogue=str(tmp_path), is_anonymous=True)
    done = subprocess.run(
        [sys.executable, "-c", _AS_THE_FORM, "{}"], capture_output=True, text=True, timeout=120, check=True
    )
    passed, message, has_tensorflow = json.loads(done.stdout.splitlines()[-1])
    assert message == f"{bucket} can be listed: 1 model; {tmp_path} can be listed: 1 model"
    assert passed
    assert not has_tensorflow


@pytest.mark.usefixtures("gcs_server")
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({}, "this connection: bucket: expected gs://BUCKET, got none"),
        ({"bucket": " "}, "this connection: bucket: expected gs://BUCKET, got none"),
        ({"bucket": "models"}, "this connection: bucket: bucket 'models': expected gs://"),
        (
            {"bucket": "gs://models", "key_path": "/no/key.json"},
            "this connection: expected credentials for Cloud Storage, got FileNotFoundError: [Errno 2]"
            " No such file or directory: '/no/key.json'. Correct the connection",
        ),
        (
            {"bucket": "gs://models", "key_path": "/"},
            "AirflowException: Unrecognised extension for key file.",
        ),
        ({"bucket": "gs://models", "keyfile_dict": "{"}, "this connection: expected credentials"),
        ({"bucket": "gs://no-such-bucket", "is_anonymous": True}, "this connection: gs://no-such-bucket"),
    ],
)
def test_test_button_says_in_one_line_what_is_wrong(connect: Any, extra: Any, message: str) -> None:
    connect(**extra)
    passed, said = RedrawHook("models").test_connection()
    assert not passed
    assert message in said
    assert "\n" not in said


def test_test_button_does_not_wait_for_a_server_that_says_nothing(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redraw_airflow.hooks._TEST_SECONDS", 0.3)
    monkeypatch.setenv("REDRAW_STORAGE_TIMEOUT", "4")
    connect(bucket="gs://models", is_anonymous=True)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{listening.getsockname()[1]}")
        passed, said = RedrawHook("models").test_connection()
    assert not passed
    assert said.startswith("this connection: expected an answer within 0.3 s, got none.")


def test_hook_of_a_missing_connection_is_airflow_s_own_error() -> None:
    with pytest.raises(Exception, match="nobody_made_this"):
        RedrawHook("nobody_made_this").get_conn()


_PUSH = {"saved_model": "/m", "report": "/r"}


def test_approval_reads_export_and_bucket_by_its_connection(
    bucket: str, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_WORK", bucket)
    content = EXPORT.to_bytes()
    open_storage(bucket).create("run/model.json", content)
    asking: dict[str, Any] = {"task_id": "approve", "model": "mnist", "gcp_conn_id": "models"}
    operator = ApproveReleaseOperator(saved_model=f"{bucket}/run/model", report=REPORT.to_json(), **asking)
    connect(bucket="gs://own", is_anonymous=True)
    assert "gs://own" in operator.describe().body
    batch = ApproveReexportOperator(plan=[{"checkpoints": []}], **asking)
    assert "gs://own" in batch.describe().body
    monkeypatch.setenv(
        "AIRFLOW_CONN_OTHERS", '{"conn_type": "redraw", "extra": {"key_path": "/no/key.json"}}'
    )
    operator.gcp_conn_id = "others"
    with pytest.raises(StorageForbidden, match="connection 'others': expected credentials"):
        operator.describe()


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        (PushModelOperator(task_id="push", model="digits", gcp_conn_id="models", **_PUSH), "bucket"),
        (SetLiveOperator(task_id="live", model="digits", gcp_conn_id="models", version=1), "bucket"),
        (PruneOperator(task_id="prune", model="digits", gcp_conn_id="models", keep=1), "bucket"),
        (
            ConfirmRolloutOperator(task_id="rollout", model="digits", gcp_conn_id="models", version=1),
            "bucket",
        ),
        (LogToMlflowOperator(task_id="log", model="digits", gcp_conn_id="models"), "bucket"),
        (NewVersionSensor(task_id="new", model="digits", gcp_conn_id="models"), "bucket"),
        (CheckpointSensor(task_id="came", model="digits", gcp_conn_id="models"), "catalogue"),
    ],
    ids=lambda value: getattr(value, "task_id", value),
)
def test_operator_without_a_place_takes_that_of_its_connection(
    connect: Any, monkeypatch: pytest.MonkeyPatch, operator: Any, name: str
) -> None:
    def found() -> str:
        if hasattr(operator, "since"):
            return str(operator.since()[0])
        ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1, try_number=1)
        return str(operator.request_fields(TaskFolder("/work", "digits", ti))[name])

    connect(bucket="gs://own", catalogue="gs://checkpoints")
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "gs://everybody-s")
    assert found() == {"bucket": "gs://own", "catalogue": "gs://checkpoints"}[name]
    connect(conn_type="google_cloud_platform", bucket="gs://not-this")
    monkeypatch.setenv("REDRAW_CHECKPOINTS", "gs://everybody-s")
    assert found() == "gs://everybody-s"
    for setting in ("REDRAW_MODEL_BUCKET", "REDRAW_CHECKPOINTS"):
        monkeypatch.delenv(setting)
    with pytest.raises(InvalidRequest, match=f"{name}: expected a value, got none"):
        found()
    monkeypatch.setattr(operator, name, "gs://given")
    connect(bucket="gs://own", catalogue="gs://checkpoints")
    assert found() == "gs://given"
