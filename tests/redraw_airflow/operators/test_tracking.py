"""The operator on a real MLflow server, and on none."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from redraw.publish.releases import list_releases
from redraw.requests import ReleasesRequest
from redraw_airflow import LogToMlflowOperator
from tests.publishing.exports import write_export

TI = SimpleNamespace(
    dag_id="dag", run_id="manual__1", task_id="log", map_index=-1, try_number=1, xcom_push=lambda **_: None
)
CONTEXT: Any = {"ti": TI, "dag_run": SimpleNamespace(triggering_user_name="ada")}


@pytest.mark.usefixtures("gcs_server")
def test_operator_logs_what_is_published_and_a_server_that_is_down_is_one_line(
    bucket: str, mlflow_url: str, unused_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("REDRAW_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", bucket)
    monkeypatch.setattr("redraw.publish.live.loading.demand_loadable", lambda *_: None)
    write_export(tmp_path / "export", {"saved_model.pb": b"graph"}).publish(bucket)
    (release,) = list_releases(ReleasesRequest(model="digits", bucket=bucket)).releases
    operator = LogToMlflowOperator(task_id="log", model="digits", version=str(release.version))

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{unused_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(AirflowException, match=r"^MLflow at 127\.0\.0\.1: expected an answer") as down:
        operator.execute(CONTEXT)
    assert "The version stays published" in str(down.value)
    assert not isinstance(down.value, AirflowFailException)
    assert "\n" not in str(down.value)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    logged = operator.execute(CONTEXT)
    found = requests.get(
        f"{mlflow_url}/api/2.0/mlflow/model-versions/get",
        params={"name": "digits", "version": logged["registered"]},
        timeout=30,
    ).json()["model_version"]
    assert (found["source"], found["run_id"]) == (release.uri, logged["run"])
