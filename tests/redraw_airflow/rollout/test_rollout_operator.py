from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from redraw.names import ModelName
from redraw.publish.live.set_live import change_live
from redraw.publish.rollouts import read_rollout
from redraw.records import Release, Rollout
from redraw.requests import LiveRequest
from redraw.storage.opening import open_storage
from redraw_airflow import ConfirmRolloutOperator, taskflow
from redraw_airflow.operators.links import VersionLink
from redraw_airflow.rollout.trigger import RolloutTrigger
from tests.model_server import ModelServer, ModelServers
from tests.redraw.rollout.conftest import DTYPES, OUTPUTS, Publish


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, bucket: str, gcs_server: str, tmp_path: Any) -> None:
    """The connection to the buckets, as Airflow finds it in the environment."""
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", bucket)
    monkeypatch.setenv("REDRAW_WORK", str(tmp_path))


@pytest.fixture
def release(bucket: str, publish_into: Publish) -> Release:
    """The live version."""
    return publish_into(bucket)


@pytest.fixture
def server(servers: ModelServers, release: Release, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """A server that has it, in REDRAW_SERVERS."""
    server = servers.start(versions={str(release.version): "AVAILABLE"}, outputs=OUTPUTS, dtypes=DTYPES)
    monkeypatch.setenv("REDRAW_SERVERS", server.grpc)
    return server


class Context(dict[str, Any]):
    """A task's, and the XComs that it pushed."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}
        ti = SimpleNamespace(
            dag_id="dag",
            run_id="manual__1",
            task_id="confirm",
            map_index=-1,
            try_number=1,
            xcom_push=lambda key, value: self.xcoms.update({key: value}),
        )
        super().__init__(ti=ti, dag_run=SimpleNamespace(triggering_user_name="ada"))


def operator(**arguments: Any) -> ConfirmRolloutOperator:
    return ConfirmRolloutOperator(**{"task_id": "confirm", "model": "digits", **arguments})


def run(confirm: ConfirmRolloutOperator, context: Any) -> Any:
    return confirm.execute(context)


def test_operator_confirms_what_is_live_on_the_configured_servers(
    release: Release, server: ModelServer, bucket: str
) -> None:
    confirm = operator(deferrable=False, version=release.to_json(), only_live=True)
    found = Rollout.from_json(run(confirm, Context()))
    assert (found.confirmed, found.version, found.by) == (True, release.version, "ada")
    assert found.servers[0].server == server.grpc
    assert read_rollout(open_storage(bucket), ModelName("digits"), release.version) == found
    assert str(release.version) in VersionLink().get_link(confirm, ti_key=None)  # type: ignore[arg-type]


def test_operator_of_a_server_that_is_behind_fails_and_leaves_the_record(server: ModelServer) -> None:
    server.set(versions={"7": "AVAILABLE"})
    context = Context()
    with pytest.raises(AirflowFailException, match=r"^1 of 1 servers not confirmed .*got version 7 loaded"):
        run(operator(deferrable=False, timeout="0.2"), context)
    report = Rollout.from_json(context.xcoms["report"])
    assert report.servers[0].state == "other_version"
    assert context.xcoms["failure"]["error"] == "RolloutFailed"


def wait(trigger: RolloutTrigger) -> dict[str, Any]:
    async def first() -> Any:
        return await asyncio.wait_for(anext(trigger.run()), 60)

    payload: dict[str, Any] = asyncio.run(first()).payload
    return payload


def deferral(confirm: ConfirmRolloutOperator, context: Any) -> tuple[TaskDeferred, RolloutTrigger]:
    """What the operator defers to, after Airflow has stored it."""
    with pytest.raises(TaskDeferred) as deferred:
        run(confirm, context)
    path, arguments = deferred.value.trigger.serialize()
    assert path == "redraw_airflow.rollout.trigger.RolloutTrigger"
    arguments = json.loads(json.dumps(arguments, allow_nan=False))
    return deferred.value, RolloutTrigger(**{**arguments, "seconds": 0.02})


def test_deferrable_operator_waits_in_its_trigger_and_confirms_by_the_stage(
    release: Release, server: ModelServer
) -> None:
    server.set(versions={str(release.version): "LOADING"}, ready_after=0.3)
    confirm, context = operator(deferrable=True, timeout=60), Context()
    deferred, trigger = deferral(confirm, context)
    assert deferred.method_name == "confirm"
    assert deferred.timeout is not None
    assert "Predict" not in {request["method"] for request in server.requests}

    event = wait(trigger)
    assert event == {"version": release.version, "ready": True}
    assert Rollout.from_json(confirm.confirm(context, event)).confirmed  # type: ignore[arg-type]
    assert "failure" not in context.xcoms


def test_deferrable_operator_of_servers_that_never_come_fails_with_the_record(server: ModelServer) -> None:
    server.set(versions={})
    confirm, context = operator(deferrable=True, timeout=0.1), Context()
    _, trigger = deferral(confirm, context)
    event = wait(trigger)
    assert event["ready"] is False
    with pytest.raises(AirflowFailException, match="no version loaded"):
        confirm.confirm(context, event)  # type: ignore[arg-type]
    assert not Rollout.from_json(context.xcoms["report"]).confirmed


def test_trigger_ends_at_a_load_that_failed_and_at_a_malformed_server(
    release: Release, server: ModelServer
) -> None:
    server.set(versions={str(release.version): "END"}, error="no such file")
    asked = {"model": "digits", "version": release.version, "timeout": 60.0}
    assert wait(RolloutTrigger(servers=[server.grpc], **asked)) == {"version": release.version, "ready": True}
    event = wait(RolloutTrigger(servers=["ftp://models:1"], **asked))
    assert event["error"] == "InvalidRequest"
    with pytest.raises(AirflowFailException, match="servers: expected grpc://HOST:PORT"):
        operator().confirm(Context(), event)  # type: ignore[arg-type]


def test_operator_of_a_version_that_is_not_live_is_skipped_if_asked_to(
    release: Release, server: ModelServer, publish_into: Publish, bucket: str
) -> None:
    older = publish_into(bucket, month=2, make_live=False)
    with pytest.raises(AirflowSkipException, match=f"version {older.version} is not live .live: "):
        run(operator(version=older.version, only_live=True), Context())
    assert server.requests == []


def test_operator_whose_earlier_try_rolled_back_fails_and_is_not_skipped(
    server: ModelServer, publish_into: Publish, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = publish_into(bucket), publish_into(bucket, month=2)
    monkeypatch.setattr("redraw.publish.live.loading.demand_loadable", lambda *_: None)
    change_live(LiveRequest(model="digits", bucket=bucket, previous=True, reason="not rolled out: behind"))
    confirm = operator(version=after.version, only_live=True)
    with pytest.raises(AirflowSkipException, match=f"is not live .live: {before.version}"):
        run(confirm, Context())
    again: Any = Context()
    again["ti"].try_number = 2
    with pytest.raises(
        AirflowFailException, match="rolled back since the first try of this task: .*: behind"
    ):
        run(confirm, again)


@pytest.mark.parametrize(
    ("allowed", "named", "refused"),
    [
        ("", "{{ params.servers }}", True),
        ("grpc://elsewhere:1", "{{ params.servers }}", False),
        ("*", "{{ params.servers }}", False),
        ("", "grpc://elsewhere:1", False),
    ],
)
def test_operator_asks_no_server_that_a_run_names_and_nobody_allowed(
    allowed: str, named: str, refused: bool, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_ALLOWED_SERVERS", allowed)
    confirm = operator(servers=named, deferrable=True)
    context: Any = Context()
    context["params"] = {"servers": "grpc://elsewhere:1"}
    confirm.render_template_fields(context)
    expected = AirflowFailException if refused else TaskDeferred
    with pytest.raises(expected) as caught:
        run(confirm, context)
    if refused:
        assert "servers: expected servers of REDRAW_SERVERS or REDRAW_ALLOWED_SERVERS" in str(caught.value)


def test_operator_that_is_back_from_a_deferrable_pod_does_not_wait_again(
    release: Release, server: ModelServer
) -> None:
    confirm = operator(deferrable=True, only_live=True)
    confirm.take_allowed_arguments(Context())  # type: ignore[arg-type]
    found = confirm.trigger_reentry(Context(), {"status": "success"})  # type: ignore[arg-type]
    assert Rollout.from_json(found).confirmed


@pytest.mark.parametrize(
    "wrong", [{"timeout": 1e12}, {"timeout": -1}, {"tolerance": -1}, {"on_failure": "x"}]
)
def test_deferrable_operator_of_wrong_arguments_fails_before_it_waits(
    wrong: dict[str, Any], release: Release, server: ModelServer
) -> None:
    with pytest.raises(AirflowFailException, match=f"{next(iter(wrong))}.*: expected"):
        run(operator(deferrable=True, **wrong), Context())


def test_operator_without_a_live_version_fails_at_once(server: ModelServer, new_bucket: Any) -> None:
    with pytest.raises(AirflowFailException, match="expected a live version, found none"):
        run(operator(bucket=new_bucket()), Context())


def test_operator_without_servers_fails_at_once(release: Release) -> None:
    with pytest.raises(AirflowFailException, match="servers: expected 1 to 64 servers, got 0"):
        run(operator(deferrable=False), Context())


def test_taskflow_function_makes_the_operator() -> None:
    from airflow.sdk import DAG

    with DAG("dag", schedule=None) as dag:
        taskflow.confirm_rollout(model="digits", servers=["grpc://models:8500"])
    assert isinstance(dag.task_dict["confirm_rollout"], ConfirmRolloutOperator)
