from __future__ import annotations

from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

from redraw.records import Release
from redraw.rollout.addresses import parse_servers
from redraw.rollout.client import BadAnswer, NotReached, Target
from redraw.rollout.golden import read_questions
from redraw.rollout.http import HttpAddress, Reply
from redraw.rollout.vertex import VertexClient
from redraw.rollout.watch import Plan, watch
from redraw.storage.opening import open_storage
from tests.model_server import ModelServer, ModelServers
from tests.redraw.rollout.conftest import DTYPES, OUTPUTS

ENDPOINT = "vertex://projects/my-project/locations/europe-west4/endpoints/42"


@pytest.fixture
def server(servers: ModelServers, release: Release) -> ModelServer:
    """An endpoint whose requests all go to the version's registration, which has the number 3."""
    return servers.start(
        labels={
            "2": {"redraw-model": "digits", "redraw-version": "7"},
            "3": {"redraw-model": "digits", "redraw-version": str(release.version)},
        },
        traffic={"2": 0, "3": 100},
        outputs=OUTPUTS,
        dtypes=DTYPES,
    )


def client(server: ModelServer) -> VertexClient:
    where = HttpAddress(host="127.0.0.1", port=server.rest_port, address="127.0.0.1", secure=False)
    (parsed,) = parse_servers([ENDPOINT])
    return VertexClient(parsed, where, Credentials("a-token"))


def follow(server: ModelServer, release: Release, timeout: float = 20.0) -> Any:
    questions, tolerance = read_questions(open_storage(release.uri.parent.parent), release)
    plan = Plan(
        servers=parse_servers([ENDPOINT]),
        model="digits",
        version=release.version,
        questions=questions,
        tolerance=tolerance or 0.0,
        timeout=timeout,
        connect=lambda *_: client(server),
    )
    (one,) = watch(plan)
    return one


def test_endpoint_whose_requests_go_to_the_version_is_confirmed(
    server: ModelServer, release: Release
) -> None:
    one = follow(server, release)
    assert (one.state, one.server, one.address) == ("confirmed", ENDPOINT, "")
    assert one.versions == (release.version,)
    paths = [request["method"] for request in server.requests]
    assert paths[:3] == [
        "/v1/projects/my-project/locations/europe-west4/endpoints/42",
        "/v1/projects/my-project/locations/europe-west4/models/99@2",
        "/v1/projects/my-project/locations/europe-west4/models/99@3",
    ]
    assert "/v1/projects/my-project/locations/europe-west4/endpoints/42:rawPredict" in paths
    assert {request["headers"]["authorization"] for request in server.requests} == {"Bearer a-token"}


@pytest.mark.parametrize(
    ("change", "state", "received"),
    [
        ({"traffic": {"2": 100}}, "loading", "version VERSION loading"),
        ({"traffic": {"2": 50, "3": 50}}, "other_version", "requests shared by the versions 7, VERSION"),
        (
            {"labels": {"2": {"redraw-version": "7"}}, "traffic": {"2": 100}},
            "other_version",
            "version 7 loaded",
        ),
        ({"labels": {"2": {"team": "x"}}, "traffic": {"2": 100}}, "other_version", "no version loaded"),
        ({"labels": {}}, "other_version", "no version loaded"),
        ({"status": 403}, "no_status", "credentials without permission for the endpoint"),
        ({"status": 404}, "unknown_model", "no such endpoint"),
        ({"fault": "garbage"}, "no_status", "HTTP status 200"),
        ({"fault": "redirect"}, "no_status", "a redirect"),
    ],
)
def test_endpoint_whose_requests_go_elsewhere_is_not_confirmed(
    change: dict[str, Any], state: str, received: str, server: ModelServer, release: Release
) -> None:
    server.set(**change)
    one = follow(server, release, timeout=0.1)
    assert one.state == state
    assert received.replace("VERSION", str(release.version)) in one.received


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"error": {"message": "gone"}}, "gone"),
        ({"error": "not found"}, "not found"),
        ({"error": {}}, "no reason"),
        ({}, "no reason"),
        (None, "no reason"),
    ],
)
def test_endpoint_that_is_not_there_says_why_as_far_as_the_service_does(
    value: object, said: str, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redraw.rollout.vertex.ask_http", lambda *_, **__: Reply(status=404, value=value))
    look = client(server).look(Target(model="digits", version=1), 1.0)
    assert (look.state, look.received) == ("unknown_model", f"no such endpoint: {said}")


def test_token_goes_to_the_host_of_the_location_alone() -> None:
    (parsed,) = parse_servers([ENDPOINT])
    assert (parsed.host, parsed.port, parsed.secure) == ("europe-west4-aiplatform.googleapis.com", 443, True)
    where = VertexClient(parsed)._where
    assert where == HttpAddress(
        host="europe-west4-aiplatform.googleapis.com",
        port=443,
        address="europe-west4-aiplatform.googleapis.com",
        secure=True,
    )


def test_endpoint_without_credentials_is_not_reached(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    (parsed,) = parse_servers([ENDPOINT])
    where = HttpAddress(host="127.0.0.1", port=server.rest_port, address="127.0.0.1", secure=False)
    with pytest.raises(NotReached, match="no credentials for Vertex AI"):
        VertexClient(parsed, where).look(Target(model="digits", version=1), 1.0)
    assert server.requests == []
    server.set(status=401)
    with pytest.raises(BadAnswer, match="without permission"):
        VertexClient(parsed, where, AnonymousCredentials()).look(Target(model="digits", version=1), 1.0)
