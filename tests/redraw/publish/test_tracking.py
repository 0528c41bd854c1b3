"""Logging to a real MLflow server on SQLite."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from redraw.errors import InvalidSetting, RedrawError, TrackingRefused, TrackingUnavailable, VersionNotFound
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.publish.tracking import log_to_mlflow
from redraw.records import ExportedModel, Release
from redraw.records.results import LoggedVersion
from redraw.requests import LiveRequest, LogToMlflowRequest

pytestmark = [pytest.mark.usefixtures("gcs_server", "loadable"), pytest.mark.timeout(300)]

MODEL = "digits"


@pytest.fixture
def server(mlflow_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    return mlflow_url


def _log(bucket: str, version: int | None = None) -> LoggedVersion:
    return log_to_mlflow(LogToMlflowRequest(model=MODEL, bucket=bucket, version=version))


def _api(server: str, path: str, **fields: Any) -> Any:
    answer = requests.get(f"{server}/api/2.0/mlflow/{path}", params=fields, timeout=30)
    answer.raise_for_status()
    return answer.json()


def _runs(server: str, release: Release) -> list[Any]:
    experiment = _api(server, "experiments/get-by-name", experiment_name=MODEL)["experiment"]
    wanted = {
        "experiment_ids": [experiment["experiment_id"]],
        "filter": f"tags.`redraw.uri` = '{release.uri}'",
    }
    answer = requests.post(f"{server}/api/2.0/mlflow/runs/search", json=wanted, timeout=30)
    return list(answer.json().get("runs", []))


def _versions(server: str, release: Release) -> list[Any]:
    found = _api(server, "model-versions/search", filter=f"name='{MODEL}'")["model_versions"]
    return [one for one in found if one["source"] == release.uri]


def _live(server: str) -> str:
    return str(_api(server, "registered-models/alias", name=MODEL, alias="live")["model_version"]["source"])


@pytest.fixture
def releases(bucket: str, make_export: Any) -> list[Release]:
    """Two versions, the second of which is live, and the first was."""
    return [
        push_model(make_export(trained_at=f"2024-0{month}-01T00:00:00Z").request(bucket, make_live=True))
        for month in (1, 2)
    ]


def test_log_twice_is_one_run_and_one_version_and_the_alias_follows_the_pointer(
    bucket: str, releases: list[Release], server: str
) -> None:
    old, new = releases
    logged = _log(bucket)
    assert logged == _log(bucket, new.version)
    assert (logged.version, logged.uri, logged.digest) == (new.version, new.uri, new.digest)
    (run,), (version,) = _runs(server, new), _versions(server, new)
    assert run["info"]["run_id"] == version["run_id"] == logged.run
    assert run["info"]["status"] == "FINISHED"
    parameters = {one["key"]: one["value"] for one in run["data"]["params"]}
    assert parameters["step"] == str(new.checkpoint.step)
    assert parameters["checkpoint_digest"] == new.checkpoint.digest
    metrics = {one["key"]: (one["value"], int(one["step"])) for one in run["data"]["metrics"]}
    assert metrics["size_bytes"] == (new.size_bytes, new.checkpoint.step)
    expected = {name: (value, new.checkpoint.step) for name, value in new.checkpoint.metrics.items()}
    assert expected.items() <= metrics.items()
    tags = {one["key"]: one["value"] for one in version["tags"]}
    assert tags == {"redraw.uri": new.uri, "redraw.digest": new.digest}
    assert (int(version["version"]), _live(server)) == (logged.live, new.uri)

    # A roll-back to a version that was not logged.
    change_live(LiveRequest(model=MODEL, bucket=bucket, previous=True))
    again = _log(bucket, new.version)
    assert (again.registered, _live(server)) == (logged.registered, old.uri)
    (_,), (_,) = _runs(server, old), _versions(server, old)
    assert _log(bucket).registered == again.live


def test_log_while_the_pointer_moves_ends_with_the_alias_on_the_live_version(
    bucket: str, releases: list[Release], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    set_alias = MlflowClient.set_registered_model_alias

    def set_alias_then_roll_back(*arguments: Any) -> None:
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", set_alias)
        set_alias(*arguments)
        change_live(LiveRequest(model=MODEL, bucket=bucket, previous=True))

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", set_alias_then_roll_back)
    _log(bucket)
    assert _live(server) == releases[0].uri


def test_log_by_several_at_once_is_one_run_and_one_version(
    bucket: str, releases: list[Release], server: str
) -> None:
    with ThreadPoolExecutor(3) as pool:
        logged = list(pool.map(lambda _: _log(bucket), range(3)))
    assert len({one.registered for one in logged}) == 1
    (_,), (version,) = _runs(server, releases[1]), _versions(server, releases[1])
    assert int(version["version"]) == logged[0].registered


def test_log_between_the_search_and_the_run_of_another_is_one_run_and_one_version(
    bucket: str, make_export: Any, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    search = MlflowClient.search_runs
    for month in (1, 2, 3):  # which of two runs has the lower id is chance
        release = push_model(make_export(trained_at=f"2024-0{month}-01T00:00:00Z").request(bucket))

        def log_after(*arguments: Any, version: int = release.version) -> Any:
            found = search(*arguments)
            monkeypatch.setattr(MlflowClient, "search_runs", search)
            assert log_to_mlflow(LogToMlflowRequest(model=MODEL, bucket=bucket, version=version))
            return found

        monkeypatch.setattr(MlflowClient, "search_runs", log_after)
        logged = _log(bucket, release.version)
        (run,), (version,) = _runs(server, release), _versions(server, release)
        assert run["info"]["run_id"] == version["run_id"] == logged.run


def test_log_takes_metrics_of_any_name(bucket: str, make_export: Any, server: str) -> None:
    names = ("recall@10", "top 5 %", "/", "..", "val/loss", "a//b", "x" * 256)
    request = make_export().request(bucket)
    export = ExportedModel.from_text(Path(f"{request.saved_model}.json").read_bytes(), "record")
    checkpoint = replace(export.checkpoint, metrics=dict.fromkeys(names, 0.5))
    release = push_model(replace(request, saved_model=replace(export, checkpoint=checkpoint)))
    _log(bucket, release.version)
    (run,) = _runs(server, release)
    logged = {one["key"] for one in run["data"]["metrics"]} - {"size_bytes"}
    assert logged == {"recall_10", "top 5 _", "_", "__", "val/loss", "a__b", "x" * 250}


@pytest.mark.parametrize("uri", ["user:geheim@127.0.0.1:9", "http:/user:geheim@host", "http://[geheim"])
def test_log_to_a_uri_that_is_none_shows_nothing_of_it(
    bucket: str, releases: list[Release], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RedrawError, match="MLFLOW_TRACKING_URI") as refused:
        _log(bucket)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "uri", ["sqlite:////a.db", "postgresql+psycopg2://u:geheim@h/db", "file:///mlruns", "mlruns", " "]
)
def test_log_to_a_file_or_a_database_is_refused(
    bucket: str, releases: list[Release], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(
        InvalidSetting, match="an MLflow server, got the URI of a file or a database"
    ) as refused:
        _log(bucket)
    assert "geheim" not in str(refused.value)


def test_log_continues_a_run_that_was_left_half(
    bucket: str, releases: list[Release], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _log(bucket)
    (left,) = _runs(server, releases[1])
    assert left["info"]["status"] == "RUNNING"
    _log(bucket)
    (run,) = _runs(server, releases[1])
    assert (run["info"]["status"], run["info"]["run_id"]) == ("FINISHED", left["info"]["run_id"])
    assert len(run["data"]["metrics"]) == len({one["key"] for one in run["data"]["metrics"]})


class _Refusing(BaseHTTPRequestHandler):
    status = 401

    def answer(self) -> None:
        self.send_response(self.status)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_log_to_a_server_that_is_down_or_refuses_says_so_in_a_line(
    bucket: str, releases: list[Release], unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:geheim@127.0.0.1:{unused_port}")
    with pytest.raises(TrackingUnavailable, match="MLflow at 127.0.0.1: expected an answer") as down:
        _log(bucket)
    refusing = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = Thread(target=refusing.serve_forever)
    thread.start()
    try:
        uri = f"http://user:geheim@127.0.0.1:{refusing.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(TrackingRefused, match="MLflow at 127.0.0.1: the server refused") as refused:
            _log(bucket)
        monkeypatch.setattr(_Refusing, "status", 503)
        with pytest.raises(TrackingUnavailable):
            _log(bucket)
    finally:
        refusing.shutdown()
        thread.join()
        refusing.server_close()
    for message in (str(down.value), str(refused.value)):
        assert "The version stays published" in message or "publication stands" in message
        assert "geheim" not in message
        assert "\n" not in message
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(InvalidSetting, match="MLFLOW_TRACKING_URI: expected the URI of an MLflow server"):
        _log(bucket)


def test_log_without_a_live_version_or_of_none_that_is_published_is_refused(
    bucket: str, make_export: Any, server: str
) -> None:
    push_model(make_export().request(bucket))
    with pytest.raises(VersionNotFound, match="expected a live version, found none"):
        _log(bucket)
    with pytest.raises(VersionNotFound, match="expected a published version"):
        _log(bucket, 1999010100000000)
