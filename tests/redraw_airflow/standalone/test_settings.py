from __future__ import annotations

import json
from pathlib import Path

import pytest

from redraw_airflow.standalone.errors import EmbeddedError
from redraw_airflow.standalone.settings import airflow_environment, read_settings


@pytest.mark.parametrize("port", ["0", "65536", "eighty", "-1", "80 80", "٣"])
def test_read_settings_impossible_port_names_its_variable(port: str) -> None:
    with pytest.raises(EmbeddedError, match="REDRAW_GCS_PORT: expected a port from 1 to 65535") as caught:
        read_settings({"REDRAW_GCS_PORT": port})

    assert repr(port) in str(caught.value)


def test_read_settings_nothing_set_keeps_state_in_the_checkout() -> None:
    settings = read_settings({})

    assert settings.state == settings.root / ".redraw"
    assert (settings.root / "Makefile").is_file()
    assert (settings.airflow_url, settings.gcs_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:4443")


def test_airflow_environment_users_own_airflow_does_not_leak_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("AIRFLOW__CORE__REMOTE_LOGGING", "True")
    monkeypatch.setenv("AIRFLOW_CONN_PROD", "{}")

    environment = airflow_environment(read_settings({"REDRAW_STATE": str(tmp_path)}))

    assert environment["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert "AIRFLOW__CORE__REMOTE_LOGGING" not in environment
    assert "AIRFLOW_CONN_PROD" not in environment
    connection = json.loads(environment["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"])
    assert connection["extra"]["is_anonymous"] is True


def test_airflow_environment_users_proxy_is_kept_from_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")

    environment = airflow_environment(read_settings({"REDRAW_STATE": str(tmp_path)}))

    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_airflow_environment_offers_trials_whose_versions_stay_in_the_state(tmp_path: Path) -> None:
    environment = airflow_environment(read_settings({"REDRAW_STATE": str(tmp_path)}))

    assert environment["REDRAW_TRY_IT"] == "1"
    assert environment["REDRAW_CACHE"] == str(tmp_path / "cache")
