"""Registration with Vertex AI: the provider's hook and Google's client, with a server of its messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import grpc
import pytest
from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from google.cloud.aiplatform_v1 import ModelServiceClient
from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcTransport

from redraw.publish.bucket.layout import encode_record, live_name
from redraw.records import LivePointer, Pruned
from redraw.storage.opening import Storage, open_storage
from redraw_airflow.vertex.operator import RegisterVertexModelOperator
from tests.paths import IMPORT_PATH
from tests.redraw_airflow.vertex.vertex_server import Refused, VertexServer, serve_vertex
from tests.redraw_airflow.web.publications import publish, release_record, version_of

IMAGE = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
NAME = "projects/redraw/locations/europe-west4/models/mnist"


@pytest.fixture
def vertex() -> Iterator[VertexServer]:
    with serve_vertex() as server:
        yield server


@pytest.fixture
def models(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A bucket with the release records of four versions, none of them live."""
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "redraw"}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    storage = open_storage(bucket)
    publish(storage, [release_record("mnist", number) for number in range(4)])
    return storage


@pytest.fixture
def register(vertex: VertexServer, models: Storage) -> Callable[..., dict[str, Any]]:
    """Runs the operator, its client's channel led to the server: `register(**arguments)`."""

    class LocalHook(ModelServiceHook):
        def get_model_service_client(self, region: str | None = None) -> ModelServiceClient:
            channel = grpc.insecure_channel(vertex.address)
            return ModelServiceClient(transport=ModelServiceGrpcTransport(channel=channel))

    class LocalOperator(RegisterVertexModelOperator):
        def open_hook(self) -> ModelServiceHook:
            return LocalHook(gcp_conn_id=self.gcp_conn_id)

    def run(**arguments: Any) -> dict[str, Any]:
        defaults = {"region": "europe-west4", "container_image": IMAGE, "bucket": models.uri}
        operator = LocalOperator(task_id="register", **{**defaults, **arguments})
        return operator.execute(cast(Any, {}))

    return run


def point(storage: Storage, live: int | None, **labels: int) -> None:
    """Let the live pointer point at the version of a day."""
    pointer = LivePointer(
        model="mnist",
        version=None if live is None else version_of(live),
        previous=None,
        labels={label: version_of(number) for label, number in labels.items()},
    )
    found = storage.read_with_generation(live_name("mnist"))
    if found is None:
        storage.create(live_name("mnist"), encode_record(pointer))
    else:
        storage.replace(live_name("mnist"), encode_record(pointer), found[1])


def test_register_of_first_version_makes_the_model_under_its_name(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    release = release_record("mnist", 0)
    vertex.pending = 1

    record = register(release=release.to_json())

    (version,) = vertex.versions(NAME)
    assert (record["name"], record["created"]) == (f"{NAME}@1", True)
    assert (version.artifact_uri, version.container_spec.image_uri) == (release.uri, IMAGE)
    digest = version.labels["redraw-digest-1"] + version.labels["redraw-digest-2"]
    assert (version.labels["redraw-version"], digest) == (str(release.version), release.digest)


def test_register_of_later_versions_adds_to_the_model_and_the_alias_follows(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    for number in range(4):
        point(models, number, canary=max(0, number - 1))
        record = register(release=release_record("mnist", number).to_json())

    assert [item.version_id for item in vertex.versions(NAME)] == ["1", "2", "3", "4"]
    assert record["aliases"] == vertex.aliases(NAME) == {"default": "4", "live": "4", "canary": "3"}


def test_register_of_registered_version_uploads_nothing(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    for number in (0, 1, 2):
        register(model="mnist", version=version_of(number))

    record = register(model="mnist", version=str(version_of(2)))

    assert (record["name"], record["created"], vertex.uploads) == (f"{NAME}@3", False, 3)


def test_register_after_roll_back_moves_the_aliases_back(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    point(models, 1, canary=0)
    for number in (0, 1):
        register(model="mnist", version=version_of(number))
    point(models, 0)
    rolled_back = LivePointer(model="mnist", version=version_of(0), previous=version_of(1))

    record = register(release=rolled_back.to_json())

    assert vertex.uploads == 2
    assert record["aliases"] == vertex.aliases(NAME) == {"default": "1", "live": "1"}


def test_register_where_the_live_version_is_not_registered_takes_the_alias_away(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    point(models, 0)
    register(model="mnist", version=version_of(0))
    point(models, 3)

    record = register(model="mnist", version=version_of(1))

    # A model of Vertex AI always has a default version.
    assert record["aliases"] == vertex.aliases(NAME) == {"default": "1"}


def test_register_of_version_with_another_image_keeps_the_registered_one_and_says_so(
    vertex: VertexServer,
    models: Storage,
    register: Callable[..., dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    register(model="mnist", version=version_of(0))

    register(model="mnist", version=version_of(0), container_image="other:1")

    assert [item.container_spec.image_uri for item in vertex.versions(NAME)] == [IMAGE]
    assert f"{NAME}@1 is served by {IMAGE}, not other:1" in caplog.text


def test_register_under_another_name_keeps_to_the_rules_of_vertex_ai(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    record = register(
        model="mnist", version=version_of(0), vertex_model="digits-eu", project_id="other", region="us-east1"
    )

    assert record["name"] == "projects/other/locations/us-east1/models/digits-eu@1"


def test_register_of_version_that_vertex_ai_has_with_other_bytes_fails_at_once(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    register(model="mnist", version=version_of(0))
    vertex.versions(NAME)[0].labels["redraw-digest-2"] = "0" * 31 + "1"

    with pytest.raises(
        AirflowFailException, match=r"models/mnist@1, version \d+: expected the digest 0{64} in"
    ):
        register(model="mnist", version=version_of(0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "^release: expected the record of a push or of the live pointer, or model and version, got"),
        ({"model": "mnist", "version": 7}, "expected the published version 7, got none"),
        (
            {"release": replace(release_record("mnist", 1), digest="f" * 64).to_json()},
            "expected the digest f{64} of the release record in the argument, got 0{63}1",
        ),
        (
            {"model": "mnist", "version": version_of(0), "vertex_model": "Mnist"},
            "^Vertex AI: the request was refused: InvalidArgument: 400 model_id 'Mnist'",
        ),
    ],
)
def test_register_of_what_cannot_be_registered_fails_at_once(
    arguments: dict[str, Any], message: str, vertex: VertexServer, register: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        register(**arguments)


def test_register_of_pruned_version_fails_at_once(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    pruned = Pruned(pruned_at="2026-01-01T00:00:00Z", by="ada", reason="old")
    publish(models, [replace(release_record("mnist", 5), pruned=pruned)])

    with pytest.raises(AirflowFailException, match="got a pruned version"):
        register(model="mnist", version=version_of(5))


def test_register_without_a_project_fails_at_once(
    register: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))

    with pytest.raises(AirflowFailException, match="^project_id: expected a Google Cloud project, got none"):
        register(model="mnist", version=version_of(0))


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (grpc.StatusCode.UNAVAILABLE, AirflowException),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, AirflowException),
        (grpc.StatusCode.ALREADY_EXISTS, AirflowException),
        (grpc.StatusCode.PERMISSION_DENIED, AirflowFailException),
    ],
)
def test_register_where_vertex_ai_refuses_is_retried_only_if_that_can_help(
    code: grpc.StatusCode,
    failure: type[AirflowException],
    vertex: VertexServer,
    register: Callable[..., dict[str, Any]],
) -> None:
    vertex.refusing = Refused(code, "not today")

    with pytest.raises(AirflowException, match="^Vertex AI: .* not today") as raised:
        register(model="mnist", version=version_of(0))

    assert type(raised.value) is failure


def test_register_that_takes_too_long_is_found_by_the_next_try(
    vertex: VertexServer, models: Storage, register: Callable[..., dict[str, Any]]
) -> None:
    vertex.pending = 1000
    with pytest.raises(AirflowException, match="^Vertex AI: expected an answer, got"):
        register(model="mnist", version=version_of(0), upload_timeout=1)

    record = register(model="mnist", version=version_of(0))

    assert (record["created"], vertex.uploads) == (False, 1)


def test_importing_the_operator_imports_nothing_of_googles() -> None:
    program = (
        "import sys, redraw_airflow.vertex.operator;"
        "print([name for name in sys.modules if name.startswith(('google.cloud.', 'google.api', 'grpc'))])"
    )

    path = IMPORT_PATH
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
