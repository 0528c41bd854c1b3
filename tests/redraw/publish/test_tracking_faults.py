"""Logging to a real MLflow server that loses answers, fails, is slow, or was changed by somebody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from mlflow import MlflowClient

from redraw.errors import TrackingRefused, TrackingUnavailable
from redraw.publish.push.push import push_model
from redraw.publish.tracking import log_to_mlflow
from redraw.records import Release
from redraw.records.results import LoggedVersion
from redraw.requests import LogToMlflowRequest
from tests.mlflow_server import Fault, run_relay

pytestmark = [pytest.mark.usefixtures("gcs_server", "loadable"), pytest.mark.timeout(300)]

MODEL = "digits"

Log = Callable[[], LoggedVersion]


@pytest.fixture
def release(bucket: str, make_export: Any) -> Release:
    return push_model(make_export().request(bucket, make_live=True))


@pytest.fixture
def client(mlflow_url: str, release: Release, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    return MlflowClient(mlflow_url)


@pytest.fixture
def log(bucket: str, client: MlflowClient) -> Log:
    return lambda: log_to_mlflow(LogToMlflowRequest(model=MODEL, bucket=bucket))


@pytest.fixture
def through(mlflow_url: str, log: Log, monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], LoggedVersion]:
    """Logs to the server with a fault in between."""

    def logged(fault: Fault) -> LoggedVersion:
        with monkeypatch.context() as patch, run_relay(mlflow_url, fault) as relay:
            patch.setenv("MLFLOW_TRACKING_URI", relay)
            return log()

    return logged


def demand_one_of_each(client: MlflowClient, release: Release, logged: LoggedVersion) -> None:
    """One run, complete; one registered version, which is that of the run; the alias names it."""
    experiment = client.get_experiment_by_name(MODEL)
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`redraw.uri` = '{release.uri}'")
    assert run.info.status == "FINISHED"
    assert run.data.params["checkpoint_digest"] == release.checkpoint.digest
    assert run.data.metrics["size_bytes"] == release.size_bytes
    (version,) = [
        one for one in client.search_model_versions(f"name = '{MODEL}'") if one.source == release.uri
    ]
    assert version.run_id == run.info.run_id == logged.run
    assert int(version.version) == logged.registered == logged.live
    assert client.get_model_version_by_alias(MODEL, "live").version == version.version


def forget(client: MlflowClient, logged: LoggedVersion) -> None:
    """What was logged, as if it had never been."""
    client.delete_run(logged.run)
    client.delete_registered_model(MODEL)


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def kill_after(patch: pytest.MonkeyPatch, last: int) -> None:
    """Let the process die when the server has done so many requests."""
    send, count = requests.Session.send, iter(range(1, 1000))

    def send_or_die(*arguments: Any, **more: Any) -> Any:
        answer = send(*arguments, **more)
        if "/api/2.0/mlflow/" in arguments[1].url and next(count) == last:
            raise Killed
        return answer

    patch.setattr(requests.Session, "send", send_or_die)


def test_log_again_after_a_kill_at_any_request_is_one_run_one_version_and_the_alias(
    client: MlflowClient, release: Release, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 100):
        with monkeypatch.context() as patch:
            kill_after(patch, number)
            try:
                log()
                break
            except Killed:
                pass
        logged = log()
        demand_one_of_each(client, release, logged)
        forget(client, logged)
    assert number > 10


@pytest.mark.parametrize("kind", ["lose", "fail"])
def test_log_with_a_request_that_fails_once_is_one_run_one_version_and_the_alias(
    kind: str, client: MlflowClient, release: Release, through: Callable[[Fault], LoggedVersion]
) -> None:
    """MLflow's client repeats it, also when the server did it already."""
    made = 0

    def fault(number: int, _: str) -> str | None:
        nonlocal made
        made = number
        return kind if number == wanted else None

    for wanted in range(1, 100):
        logged = through(fault)
        demand_one_of_each(client, release, logged)
        if made < wanted:
            break
        forget(client, logged)
    assert wanted > 10


@pytest.mark.parametrize(
    ("path", "what", "got"),
    [
        ("", "refuse", "expected an answer, got ResponseError"),
        ("runs/create", "lose", "expected an answer, got ProtocolError"),
        ("runs/create", "wait", "expected an answer, got TimeoutError"),
        ("experiments/get", "<html>", "expected an answer, got an answer that is not from MLflow"),
        ("runs/create", '{"run": 5}', "expected an answer, got an answer that is not from MLflow"),
        ("runs/create", "{}", "the server refused the version: INVALID_PARAMETER_VALUE: Missing value"),
    ],
)
def test_log_to_a_server_that_goes_on_failing_is_one_line_and_again_is_complete(  # noqa: PLR0913 - fixtures
    path: str,
    what: str,
    got: str,
    client: MlflowClient,
    release: Release,
    log: Log,
    through: Callable[[Fault], LoggedVersion],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with pytest.raises((TrackingUnavailable, TrackingRefused)) as failed:
        through(lambda _, asked: what if path in asked else None)
    assert str(failed.value).startswith(f"MLflow at 127.0.0.1: {got}")
    assert "\n" not in str(failed.value)
    demand_one_of_each(client, release, log())


def test_log_to_an_ipv6_address(
    client: MlflowClient, release: Release, mlflow_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_relay(mlflow_url, lambda *_: None, "::1") as relay:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", relay)
        demand_one_of_each(client, release, log())
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://[::1]:1")
        with pytest.raises(TrackingUnavailable, match="MLflow at ::1: expected an answer, got Connection"):
            log()


def test_log_after_somebody_moved_or_deleted_what_was_logged_is_as_before(
    client: MlflowClient, release: Release, log: Log
) -> None:
    first = log()
    other = client.create_model_version(MODEL, "s3://elsewhere/model", first.run)
    client.set_registered_model_alias(MODEL, "live", other.version)
    assert log() == first
    demand_one_of_each(client, release, first)
    experiment = client.get_run(first.run).info.experiment_id
    for delete in (
        lambda: client.delete_registered_model_alias(MODEL, "live"),
        lambda: client.delete_run(first.run),
        lambda: client.delete_experiment(experiment),
    ):
        delete()
        assert log() == first
        demand_one_of_each(client, release, first)
    client.delete_model_version(MODEL, str(first.registered))
    demand_one_of_each(client, release, log())
    client.delete_registered_model(MODEL)
    demand_one_of_each(client, release, log())
