from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.__main__ import main
from redraw.checkpoint.bundle.messages import GetModelStatusResponse
from redraw.errors import (
    InvalidRecord,
    ObjectConflict,
    RolloutFailed,
    StorageError,
    StorageForbidden,
    StorageUnavailable,
    VersionNotFound,
)
from redraw.names import ModelName
from redraw.publish.live.serving_config import read_served_versions
from redraw.publish.live.set_live import change_live
from redraw.publish.rollouts import keep_rollout, read_rollout
from redraw.records import LivePointer, Release, Rollout, TensorSpec
from redraw.requests import LiveRequest, RolloutRequest
from redraw.rollout import rollout as module
from redraw.rollout.addresses import parse_servers
from redraw.rollout.client import BadAnswer, Question, Target
from redraw.rollout.golden import read_questions
from redraw.rollout.grpc_client import decode_status
from redraw.rollout.rest import RestClient, _reshaped
from redraw.rollout.rollout import confirm_rollout
from redraw.rollout.watch import Plan, watch
from redraw.serving.values import decode_tensor
from redraw.storage.opening import open_storage
from tests.model_server import ModelServer, ModelServers
from tests.publishing.faults import Fault, Moment, Refuse
from tests.publishing.proxy import run_proxy
from tests.redraw.rollout.conftest import DTYPES, GOLDEN, OUTPUTS, Publish

MODEL = ModelName("digits")
# Long enough for an answer of this machine on a busy day, if one comes.
PATIENT, SHORT = 20.0, 0.1


@pytest.fixture
def server(servers: ModelServers, release: Release) -> ModelServer:
    """A server that has the version, and answers as recorded."""
    return servers.start(versions={str(release.version): "AVAILABLE"}, outputs=OUTPUTS, dtypes=DTYPES)


def bucket_of(release: Release) -> str:
    return str(release.uri.parent.parent)


def rollout(release: Release, *servers: str, **fields: Any) -> Rollout:
    return confirm_rollout(
        RolloutRequest(
            model=MODEL,
            bucket=bucket_of(release),
            servers=servers,
            **{"timeout": PATIENT, **fields},
        )
    )


def failure(release: Release, *servers: str, **fields: Any) -> tuple[str, Rollout]:
    """The message, and the record that is printed with it, which is stored too."""
    with pytest.raises(RolloutFailed) as caught:
        rollout(release, *servers, **{"timeout": SHORT, **fields})
    assert isinstance(caught.value.report, Rollout)
    assert not caught.value.report.confirmed
    assert read_rollout(open_storage(bucket_of(release)), MODEL, release.version) == caught.value.report
    return str(caught.value), caught.value.report


@pytest.mark.parametrize("protocol", ["grpc", "rest", "kserve"])
def test_rollout_of_a_server_that_has_the_version_is_confirmed_and_stored(
    protocol: str, release: Release, server: ModelServer
) -> None:
    found = rollout(release, getattr(server, protocol))
    assert found.confirmed
    (one,) = found.servers
    assert (one.state, one.compared, one.versions) == ("confirmed", ("serving_default",), (release.version,))
    assert one.largest_error == 0
    assert found.tolerance == GOLDEN["tolerance"]
    assert read_rollout(open_storage(bucket_of(release)), MODEL, release.version) == found
    assert Rollout.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("protocol", ["grpc", "rest", "kserve"])
def test_rollout_of_an_ipv6_address_is_confirmed(
    protocol: str, release: Release, servers: ModelServers
) -> None:
    versions = {str(release.version): "AVAILABLE"}
    server = servers.start("[::1]", versions=versions, outputs=OUTPUTS, dtypes=DTYPES, kserve="v2")
    named = getattr(server, protocol)
    assert "://[::1]:" in named
    (seen,) = rollout(release, named).servers
    assert (seen.state, seen.server, seen.address) == ("confirmed", named, "")
    (unnamed,) = failure(release, "grpc://[::1]:1")[1].servers
    assert unnamed.state == "unreachable"
    assert str(unnamed).startswith("grpc://[::1]:1: expected version")


@pytest.mark.parametrize(
    ("dtype", "values", "other"),
    [
        ("bfloat16", [0.5, 3.0], [0.5, 5.0]),
        ("float8_e4m3fn", [0.5, 2.0], [0.5, 8.0]),
        ("int4", [-8, 7], [-8, 6]),
        ("uint4", [0, 15], [0, 14]),
        ("uint64", [0, 2**64 - 1], [0, 2**64 - 2]),
        ("complex64", ["(1+2j)", "0j"], ["(1+2j)", "1j"]),
    ],
)
def test_watch_compares_answers_of_every_dtype_and_by_json_those_that_it_has(
    dtype: str, values: list[Any], other: list[Any], servers: ModelServers
) -> None:
    spec = TensorSpec(dtype, (None,))
    array = decode_tensor("here", spec, values)
    question = Question(
        signature="serving_default", inputs={"x": array}, outputs={"y": array}, specs={"y": spec}
    )
    server = servers.start(versions={"7": "AVAILABLE"}, outputs={"y": values}, dtypes={"y": dtype})

    def watched(*texts: str) -> list[tuple[str, tuple[str, ...]]]:
        asked = parse_servers(texts)
        plan = Plan(servers=asked, model="digits", version=7, questions=(question,), timeout=PATIENT)
        return [(one.state, one.compared) for one in watch(plan)]

    by_json = () if dtype == "complex64" else ("serving_default",)
    assert watched(server.grpc, server.rest) == [
        ("confirmed", ("serving_default",)),
        ("confirmed", by_json),
    ]
    server.set(outputs={"y": other})
    assert watched(server.grpc) == [("wrong_answer", ("serving_default",))]


@pytest.mark.parametrize("number", [np.float32("nan"), np.float32("inf"), np.complex64(1j)])
def test_watch_asks_by_json_no_request_with_a_number_that_json_lacks(
    number: np.generic, servers: ModelServers
) -> None:
    spec, ones = TensorSpec("float32", (None,)), np.float32([1])
    question = Question(
        signature="serving_default", inputs={"x": np.array([number])}, outputs={"y": ones}, specs={"y": spec}
    )
    server = servers.start(versions={"7": "AVAILABLE"}, outputs={"y": [1.0]}, dtypes={"y": "float32"})
    addresses = parse_servers([server.grpc, server.rest])
    plan = Plan(servers=addresses, model="digits", version=7, questions=(question,), timeout=PATIENT)
    assert [(seen.state, seen.compared) for seen in watch(plan)] == [
        ("confirmed", ("serving_default",)),
        ("confirmed", ()),
    ]


def test_rollout_asks_just_the_recorded_request_of_just_the_version(
    release: Release, server: ModelServer
) -> None:
    rollout(release, server.grpc, server.rest)
    asked = {request["method"]: request for request in server.requests}
    predict = asked["Predict"]
    assert (predict["model"], predict["version"], predict["signature"]) == (
        "digits",
        release.version,
        "serving_default",
    )
    assert predict["inputs"] == {"image": [2, 2], "text": [2]}
    body = asked[f"/v1/models/digits/versions/{release.version}:predict"]["body"]
    assert body == {
        "signature_name": "serving_default",
        "inputs": GOLDEN["signatures"]["serving_default"]["inputs"],
    }


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_rollout_waits_for_a_version_that_loads_and_sees_it_within_two_seconds(
    protocol: str, release: Release, servers: ModelServers
) -> None:
    server = servers.start(
        versions={str(release.version): "LOADING"}, outputs=OUTPUTS, dtypes=DTYPES, ready_after=0.4
    )
    (one,) = rollout(release, getattr(server, protocol)).servers
    assert one.loaded_seconds is not None
    assert one.loaded_seconds < 0.4 + 2


VERSION = "VERSION"
BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("grpc rest", {"versions": {VERSION: "LOADING"}}, "loading", "got version VERSION loading"),
    (
        "grpc rest",
        {"versions": {"7": "AVAILABLE", VERSION: "START"}},
        "loading",
        "got version VERSION loading",
    ),
    ("grpc rest", {"versions": {"7": "AVAILABLE"}}, "other_version", "got version 7 loaded"),
    ("grpc rest", {"versions": {VERSION: "UNLOADING"}}, "other_version", "got no version loaded"),
    ("grpc rest", {"versions": {}}, "other_version", "got no version loaded"),
    ("grpc rest kserve", {"model": "letters"}, "unknown_model", "got no model 'digits'"),
    (
        "grpc rest",
        {"versions": {VERSION: "END"}, "error": "no such file"},
        "load_failed",
        "got version VERSION failed to load: no such file",
    ),
    ("grpc rest kserve", {"fault": "hang"}, "unreachable", "got no answer"),
    ("grpc rest", {"fault": "hang_answer"}, "loaded", "got version VERSION loaded, and no answer yet"),
    ("grpc rest", {"fault": "crash"}, "stopped", "got the version loaded, and then "),
    ("grpc rest", {"fault": "huge"}, "refused", "an answer of (at most|more than) [0-9]+ bytes"),
    ("grpc", {"fault": "refuse"}, "refused", "INVALID_ARGUMENT instead of an answer: input size"),
    ("grpc", {"fault": "huge_status"}, "no_status", "got RESOURCE_EXHAUSTED instead of an answer"),
    ("rest kserve", {"fault": "redirect"}, "no_status", "got a redirect to .*, which is not followed"),
    ("rest kserve", {"fault": "garbage"}, "no_status", "got an answer that is not a JSON object"),
    ("rest", {"fault": "drip"}, "unreachable", "got no answer"),
    ("rest kserve", {"status": 503}, "unreachable", "got HTTP status 503"),
    ("rest", {"status": 500}, "no_status", "got HTTP status 500"),
    (
        "grpc rest",
        {"outputs": {**OUTPUTS, "scores": [[0.25, 0.75], [0.5, 2e-3]]}},
        "wrong_answer",
        "got signature 'serving_default', output 'scores': floats differ by up to 0.001",
    ),
    (
        "grpc rest",
        {"outputs": {**OUTPUTS, "scores": [[0.25, float("nan")], [0.5, 1e-3]]}},
        "wrong_answer",
        "output 'scores': 1 of 4 values are finite in only one of the two answers",
    ),
    (
        "grpc rest",
        {"outputs": {**OUTPUTS, "digit": [3, 5], "word": ["three", "five"]}},
        "wrong_answer",
        "output 'digit': 1 of 2 values differ; .*output 'word': 1 of 2 values differ",
    ),
    ("grpc rest", {"outputs": {**OUTPUTS, "digit": [3]}}, "wrong_answer", r"shape \[1\] instead of \[2\]"),
    (
        "grpc rest",
        {"outputs": {"digit": [3, 4], "scores": OUTPUTS["scores"]}},
        "refused",
        "an answer without the output 'word'",
    ),
    ("grpc", {"dtypes": {**DTYPES, "digit": "int32"}}, "refused", "output 'digit': int32 instead of int64"),
    ("rest", {"outputs": {**OUTPUTS, "digit": ["x", 4]}}, "refused", "output 'digit'.*got 'x'"),
    ("grpc", {"outputs": {**OUTPUTS, "digit": [3] * 999}}, "refused", "at most 2 elements"),
]


@pytest.mark.parametrize(
    ("protocol", "change", "state", "received"),
    [(protocol, *rest) for protocols, *rest in BAD for protocol in protocols.split()],
)
def test_rollout_of_a_server_with_a_fault_is_one_line_that_says_what_to_do(
    protocol: str, change: dict[str, Any], state: str, received: str, release: Release, server: ModelServer
) -> None:
    version = str(release.version)
    if "versions" in change:
        versions = {version if key == VERSION else key: value for key, value in change["versions"].items()}
        change = {**change, "versions": versions}
    server.set(**({"kserve": "v2"} if protocol == "kserve" else {}), **change)
    name = getattr(server, protocol)

    # A server may come up, come back or catch up until time is over; what failed for good ends it at once.
    timeout = PATIENT if state in {"load_failed", "refused", "wrong_answer"} else SHORT
    message, report = failure(release, name, timeout=2.0 if state == "stopped" else timeout)

    assert report.servers[0].state == state
    pattern = (
        rf"^1 of 1 servers not confirmed after [0-9.]+ s: {re.escape(name)}: expected version {version} of"
        rf" digits loaded, answering as recorded, got.* [A-Z][^.]+.*\.$"
    )
    assert re.search(pattern, message), message
    assert re.search(received.replace(VERSION, version), message), message
    assert message.isprintable()


def test_rollout_of_an_unreachable_server_keeps_what_the_others_showed(
    release: Release, server: ModelServer
) -> None:
    message, report = failure(release, f"{server.grpc}, grpc://127.0.0.1:1", "http://nowhere.invalid:1")
    assert [one.state for one in report.servers] == ["confirmed", "unreachable", "unreachable"]
    assert message.startswith("2 of 3 servers not confirmed after")
    assert "127.0.0.1:1: expected" in message
    assert "nowhere.invalid:1: expected" in message
    assert "the name has no address" in message


@pytest.fixture
def two_addresses(
    servers: ModelServers, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ModelServer]:
    """A name with the server's address and one more; and the server there, which is behind."""
    behind = servers.start(
        host="127.0.0.2",
        ports=(server.grpc_port, server.rest_port),
        versions={"7": "AVAILABLE"},
        outputs=OUTPUTS,
        dtypes=DTYPES,
    )
    _resolve(monkeypatch, lambda: ["127.0.0.1", "127.0.0.2"])
    return f"grpc://models.example:{server.grpc_port}", behind


def _resolve(monkeypatch: pytest.MonkeyPatch, addresses: Callable[[], list[str]]) -> None:
    look_up = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in {"models.example", "models.serving.svc"}:
            return look_up(host, port, *rest, **more)
        return [entry for address in addresses() for entry in look_up(address, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_resolve_takes_one_of_the_two_names_of_this_machine_and_all_of_another_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = [
        (family, socket.SOCK_STREAM, 6, "", (address, 8500))
        for family, address in ((socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    here, there = parse_servers(["grpc://localhost:8500", "grpc://models.example:8500"])

    assert here.resolve() == ("127.0.0.1",)
    assert there.resolve() == ("::1", "127.0.0.1")


def test_rollout_of_a_name_with_two_addresses_names_the_one_that_is_behind(
    release: Release, two_addresses: tuple[str, ModelServer]
) -> None:
    name, behind = two_addresses
    message, report = failure(release, name)
    port = name.rpartition(":")[2]
    assert [(one.address, one.state) for one in report.servers] == [
        (f"127.0.0.1:{port}", "confirmed"),
        (f"127.0.0.2:{port}", "other_version"),
    ]
    assert f": {name} (127.0.0.2:{port}): expected version" in message

    behind.set(versions={"7": "AVAILABLE", str(release.version): "AVAILABLE"})
    assert rollout(release, name.replace("grpc://models.example", "k8s://serving/models")).confirmed


def test_rollout_of_a_server_named_twice_asks_it_once(release: Release, server: ModelServer) -> None:
    found = rollout(release, f"{server.grpc},{server.grpc}", f"{server.grpc}/")
    assert [one.server for one in found.servers] == [server.grpc]


def test_rollout_of_version_0_is_not_one_of_the_live_version(release: Release, server: ModelServer) -> None:
    with pytest.raises(VersionNotFound, match="digits/0: expected a published version"):
        rollout(release, server.grpc, version=0)


def test_rollout_of_a_server_that_leaves_the_version_after_its_answer_is_not_confirmed(
    release: Release, server: ModelServer
) -> None:
    questions, _ = read_questions(open_storage(bucket_of(release)), release)

    class Leaving(RestClient):
        def answer(self, *asked: Any) -> Any:
            answered = super().answer(*asked)
            server.set(versions={"7": "AVAILABLE"})
            return answered

    (one,) = watch(
        Plan(
            servers=parse_servers([server.rest]),
            model="digits",
            version=release.version,
            questions=questions,
            timeout=0.5,
            connect=Leaving,
        )
    )
    assert (one.state, one.received) == ("other_version", "version 7 loaded")


def test_watch_that_is_interrupted_leaves_no_thread_that_asks(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    monkeypatch.setattr(threading.Condition, "wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watch(Plan(servers=parse_servers([server.rest]), model="digits", version=5))
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENT)
        assert not thread.is_alive()


def test_rollout_asks_an_address_by_the_name_that_it_was_looked_up_by(
    release: Release, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolve(monkeypatch, lambda: ["127.0.0.1"])
    names = [f"models.example:{port}" for port in (server.grpc_port, server.rest_port)]
    assert rollout(release, f"grpc://{names[0]}", f"http://{names[1]}").confirmed
    authorities = {request.get("authority") or request["headers"]["Host"] for request in server.requests}
    assert authorities == set(names)


def test_rollout_follows_the_addresses_of_a_name_as_servers_are_replaced(
    release: Release, two_addresses: tuple[str, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = two_addresses
    asked: list[int] = []

    def addresses() -> list[str]:
        asked.append(1)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    _resolve(monkeypatch, addresses)
    (one,) = rollout(release, name).servers
    assert one.address.startswith("127.0.0.1:")


def test_watch_of_an_address_that_went_and_came_again_believes_nothing_of_before(
    release: Release, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_ups = iter([["127.0.0.1"], ["127.0.0.2"]])
    again = threading.Event()

    class Before(RestClient):
        """What was at the address; its answer comes when something else is there."""

        def look(self, *target: Any) -> Any:
            seen = super().look(*target)
            server.set(versions={"7": "AVAILABLE"})
            assert again.wait(PATIENT)
            self.look = lambda *_: seen
            return seen

    class After(RestClient):
        def look(self, *target: Any) -> Any:
            seen = super().look(*target)
            again.set()
            return seen

    clients = iter([Before, RestClient])

    _resolve(monkeypatch, lambda: next(look_ups, ["127.0.0.1"]))
    plan = Plan(
        servers=parse_servers([f"http://models.example:{server.rest_port}"]),
        model="digits",
        version=release.version,
        timeout=3.5,
        connect=lambda *place: next(clients, After)(*place),
    )
    (one,) = watch(plan)
    assert again.is_set()
    assert (one.state, one.received) == ("other_version", "version 7 loaded")


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_rollout_of_a_server_with_very_many_versions_shows_the_newest(
    protocol: str, release: Release, server: ModelServer
) -> None:
    have = [*range(1, 9000), release.version]
    server.set(versions={str(version): "AVAILABLE" for version in have})
    (one,) = rollout(release, getattr(server, protocol)).servers
    assert one.versions == tuple(have[-100:])


def test_rollout_allows_as_much_as_is_asked_for(release: Release, server: ModelServer) -> None:
    server.set(outputs={**OUTPUTS, "scores": [[0.25, 0.75], [0.5, 2e-3]]})
    found = rollout(release, server.grpc, tolerance=0.01)
    assert found.tolerance == 0.01
    assert found.servers[0].largest_error == pytest.approx(1e-3, rel=1e-3)


def test_rollout_takes_the_servers_of_the_setting(
    release: Release, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_SERVERS", f"{server.grpc}, {server.rest}")
    assert [one.server for one in rollout(release).servers] == [server.grpc, server.rest]


def test_rollout_asks_by_the_name_that_a_server_has_for_the_model(
    release: Release, server: ModelServer
) -> None:
    server.set(model="Digits-2")
    assert rollout(release, f"{server.grpc}/Digits-2", f"{server.kserve}/Digits-2").confirmed


def test_rollout_sends_no_credentials_and_takes_no_proxy(
    release: Release, server: ModelServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    questions, tolerance = read_questions(open_storage(bucket_of(release)), release)
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    plan = Plan(
        servers=parse_servers([server.grpc, server.rest]),
        model="digits",
        version=release.version,
        questions=questions,
        tolerance=tolerance or 0.0,
        timeout=PATIENT,
    )
    assert [one.state for one in watch(plan)] == ["confirmed", "confirmed"]
    headers = {key.lower() for request in server.requests for key in request["headers"]}
    assert headers <= {
        "host",
        "accept-encoding",
        "content-type",
        "connection",
        "content-length",
        "user-agent",
    }
    assert "hunter2" not in json.dumps(server.requests)


def test_rollout_of_a_version_without_recorded_answers_compares_none_and_says_so(
    bucket: str, publish_into: Publish, server: ModelServer
) -> None:
    release = publish_into(bucket, golden=None)
    server.set(versions={str(release.version): "AVAILABLE"})
    found = rollout(release, server.grpc)
    assert (found.confirmed, found.tolerance, found.servers[0].compared) == (True, None, ())
    assert "published without golden.json" in found.note

    # Only its answers distinguish a server that names no version from others.
    server.set(kserve="v2", names_versions=False)
    message, report = failure(release, server.kserve)
    assert report.servers[0].state == "no_status"
    assert "whose version is unknown; there are no recorded answers to compare" in message


@pytest.mark.parametrize("kserve", ["v1", "v2"])
def test_rollout_of_kserve_without_versions_is_known_by_the_answers(
    kserve: str, bucket: str, publish_into: Publish, servers: ModelServers
) -> None:
    outputs = {"digit": OUTPUTS["digit"]}
    signature = {**GOLDEN["signatures"]["serving_default"], "outputs": outputs}
    release = publish_into(bucket, golden={**GOLDEN, "signatures": {"serving_default": signature}})
    server = servers.start(
        versions={"1": "LOADING"},
        ready_after=0.1,
        kserve=kserve,
        names_versions=False,
        outputs=outputs,
        dtypes=DTYPES,
    )
    (one,) = rollout(release, server.kserve).servers
    assert (one.compared, one.versions) == (("serving_default",), ())
    server.set(versions={"1": "AVAILABLE"}, outputs={"digit": [9, 4]})
    _, report = failure(release, server.kserve)
    assert report.servers[0].state == "wrong_answer"


def test_rollout_of_bytes_that_kserve_has_no_form_for_does_not_ask_them(
    bucket: str, publish_into: Publish, server: ModelServer
) -> None:
    asked = {"inputs": {"image": [[0, 255]], "text": [{"b64": "/9j/"}]}, "outputs": {"digit": [3]}}
    release = publish_into(bucket, golden={**GOLDEN, "signatures": {"serving_default": asked}})
    server.set(kserve="v2", versions={str(release.version): "AVAILABLE"}, outputs={"digit": [3]})
    (one,) = rollout(release, server.kserve).servers
    assert (one.state, one.compared) == ("confirmed", ())
    assert not [request for request in server.requests if request["method"].endswith("/infer")]


def test_answer_of_kserve_of_very_many_rows_without_values_is_refused() -> None:
    assert _reshaped({"name": "y", "data": [], "shape": [3, 0]}) == [[], [], []]
    with pytest.raises(BadAnswer, match="output 'y': values that do not fit its shape"):
        _reshaped({"name": "y", "data": [], "shape": [1 << 30, 0]})


def test_decode_status_passes_over_versions_that_are_none() -> None:
    response = GetModelStatusResponse()
    for version in (-3, 7):
        response.model_version_status.add(version=version, state=30)
    look = decode_status(Target(model="digits", version=7), response.SerializeToString())
    assert look.versions == (7,)


def test_rollout_of_recorded_answers_that_were_altered_asks_nobody(
    bucket: str, publish_into: Publish, server: ModelServer
) -> None:
    release = publish_into(bucket)
    storage = open_storage(bucket)
    name = release.attachments["golden.json"].name
    found = storage.read_with_generation(name)
    assert found is not None
    storage.replace(name, found[0].replace(b"0.25", b"0.75"), found[1])
    with pytest.raises(ObjectConflict, match="as published, got"):
        rollout(release, server.grpc)
    assert server.requests == []


@pytest.mark.parametrize(
    "golden",
    [
        {"schema": 1},
        {**GOLDEN, "tolerance": -1.0},
        {**GOLDEN, "signatures": {"other": {"inputs": {}, "outputs": {}}}},
        {**GOLDEN, "signatures": {"serving_default": {"inputs": {}, "outputs": {}}}},
        {
            **GOLDEN,
            "signatures": {
                "serving_default": {**GOLDEN["signatures"]["serving_default"], "outputs": {"odd": [1]}}
            },
        },
    ],
)
def test_rollout_of_recorded_answers_that_fit_no_signature_is_refused(
    golden: dict[str, Any], bucket: str, publish_into: Publish
) -> None:
    release = publish_into(bucket, golden=golden)
    with pytest.raises(InvalidRecord, match=r"golden\.json"):
        rollout(release, "grpc://127.0.0.1:1")


def test_rollout_of_no_version_says_so(bucket: str, publish_into: Publish) -> None:
    release = publish_into(bucket, make_live=False)
    with pytest.raises(VersionNotFound, match="expected a live version, found none"):
        rollout(release, "grpc://127.0.0.1:1")


@pytest.fixture
def two_versions(bucket: str, publish_into: Publish) -> tuple[Release, Release]:
    """The version that was live before, and the live one."""
    return publish_into(bucket), publish_into(bucket, month=2)


@pytest.fixture
def _loadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redraw.publish.live.loading.demand_loadable", lambda *_: None)


def live(release: Release) -> LivePointer:
    return change_live(LiveRequest(model=MODEL, bucket=bucket_of(release)))


@pytest.mark.usefixtures("_loadable")
def test_rollout_that_fails_rolls_back_and_says_so(
    two_versions: tuple[Release, Release], server: ModelServer
) -> None:
    before, after = two_versions
    message, report = failure(after, server.grpc, on_failure="roll-back", by="ada")
    pointer = live(after)
    assert report.rolled_back_to == pointer.version == before.version
    assert message.endswith(f" Rolled back: version {before.version} is live again.")
    assert pointer.history[-1].kind == "rollback"
    assert pointer.history[-1].by == "ada"
    assert pointer.history[-1].reason.startswith(f"not rolled out: {server.grpc}: expected version")
    assert pointer.rejected[str(after.version)].startswith("ada: not rolled out")


@pytest.mark.usefixtures("_loadable")
def test_rollout_that_fails_without_recorded_answers_says_so_unless_it_rolls_back(
    bucket: str, publish_into: Publish, server: ModelServer
) -> None:
    publish_into(bucket, golden=None)
    after = publish_into(bucket, month=2, golden=None)
    message, _ = failure(after, server.grpc)
    assert message.endswith("published without golden.json")
    message, report = failure(after, server.grpc, on_failure="roll-back")
    assert report.note.endswith("published without golden.json")
    assert message.endswith("is live again.")


@pytest.mark.usefixtures("_loadable")
def test_rollout_that_fails_leaves_the_pointer_unless_it_is_asked_to_roll_back(
    two_versions: tuple[Release, Release], server: ModelServer
) -> None:
    before, after = two_versions
    _, report = failure(after, server.grpc)
    assert report.rolled_back_to is None
    assert live(after).version == after.version
    server.set(versions={str(after.version): "AVAILABLE"})
    assert rollout(after, server.grpc, on_failure="roll-back").rolled_back_to is None
    assert live(after).version == after.version


@pytest.mark.usefixtures("_loadable")
def test_rollout_that_fails_does_not_roll_back_a_pointer_that_others_have_moved(
    two_versions: tuple[Release, Release], server: ModelServer, publish_into: Publish
) -> None:
    _, after = two_versions
    newer = publish_into(bucket_of(after), month=3)
    message, report = failure(after, server.grpc, version=after.version, on_failure="roll-back")
    assert report.rolled_back_to is None
    assert (
        f"Not rolled back: {after.uri.parent}/live.json: expected the live version {after.version}" in message
    )
    assert live(after).version == newer.version


@pytest.mark.usefixtures("_loadable")
@pytest.mark.parametrize("moment", [Moment.ARRIVED, Moment.ACTED])
def test_rollout_whose_roll_back_the_configuration_cannot_follow_says_both_and_can_be_run_again(
    moment: Moment,
    two_versions: tuple[Release, Release],
    server: ModelServer,
    gcs_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = two_versions
    config = Fault(
        action=Refuse(status=503), moment=moment, operation="replace", name="models.config", count=99
    )
    with run_proxy(gcs_server) as proxy, monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        patch.setenv("REDRAW_STORAGE_TIMEOUT", "1")
        proxy.faults = [config]
        message, report = failure(after, server.grpc, on_failure="roll-back")
    assert report.rolled_back_to == live(after).version == before.version
    assert f"Rolled back: version {before.version} is live again." in message
    assert f"version {before.version} is live, but models.config or a deployment file" in message
    _, again = failure(after, server.grpc, version=after.version, on_failure="roll-back")
    assert (again.rolled_back_to, again.note) == (before.version, "")
    served = read_served_versions(open_storage(bucket_of(after)), MODEL)
    assert served == {before.version}


def test_rollout_that_fails_rolls_back_nothing_newer_that_becomes_live_meanwhile(
    two_versions: tuple[Release, Release],
    server: ModelServer,
    publish_into: Publish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, after = two_versions
    newer = list[Release]()
    # While the version before is loaded, somebody publishes.
    monkeypatch.setattr(
        "redraw.publish.live.loading.demand_loadable",
        lambda *_: newer.append(publish_into(bucket_of(after), month=3)),
    )
    message, _ = failure(after, server.grpc, on_failure="roll-back")
    assert f"live.json: expected the live version {after.version}, got {newer[0].version}" in message
    pointer = live(after)
    assert (pointer.version, pointer.rejected) == (newer[0].version, {})


@pytest.mark.usefixtures("_loadable")
@pytest.mark.parametrize("stopped", ["create", "after"])
def test_rollout_that_ends_around_its_roll_back_says_why_and_can_be_run_again(
    stopped: str,
    two_versions: tuple[Release, Release],
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = two_versions
    change = module.change_live

    def killed(request: LiveRequest) -> LivePointer:
        if stopped == "after":
            change(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "change_live", killed)
    with pytest.raises(KeyboardInterrupt):
        rollout(after, server.grpc, timeout=SHORT, version=after.version, on_failure="roll-back")
    kept = read_rollout(open_storage(bucket_of(after)), MODEL, after.version)
    assert kept is not None
    assert (kept.confirmed, kept.rolled_back_to) == (False, None)
    monkeypatch.setattr(module, "change_live", change)
    _, report = failure(after, server.grpc, version=after.version, on_failure="roll-back")
    assert report.rolled_back_to == live(after).version == before.version
    assert [made.kind for made in live(after).history].count("rollback") == 1
    assert [event.kind for event in report.events] == ["rollback"]


def test_rollout_that_fails_without_a_version_before_says_that_nothing_was_rolled_back(
    bucket: str, publish_into: Publish
) -> None:
    release = publish_into(bucket)
    message, report = failure(release, "grpc://127.0.0.1:1", on_failure="roll-back")
    assert report.rolled_back_to is None
    assert "Not rolled back: VersionNotFound: " in message
    assert "no other version was live before" in message
    assert live(release).version == release.version


def test_rollouts_of_clocks_that_differ_are_ordered_by_the_storage_and_timed_by_no_clock(
    release: Release, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in ("2036-01-01T00:00:00Z", "1999-01-01T00:00:00Z"):
        monkeypatch.setattr(module, "now", lambda moment=moment: moment)
        found = rollout(release, server.grpc)
        assert found.began_at == moment
        assert 0 < found.seconds < PATIENT
        assert read_rollout(open_storage(bucket_of(release)), MODEL, release.version) == found


@pytest.mark.parametrize("error", [StorageForbidden, StorageUnavailable])
def test_rollout_whose_result_cannot_be_stored_is_what_the_servers_showed(
    error: type[StorageError],
    release: Release,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = open_storage(bucket_of(release))

    def create(*_: Any, **__: Any) -> None:
        raise error("the object cannot be created")

    monkeypatch.setattr(type(storage), "create", create)
    assert rollout(release, server.grpc).confirmed
    assert "is not stored, and no page shows it" in caplog.text
    server.set(versions={"7": "AVAILABLE"})
    with pytest.raises(RolloutFailed, match="got version 7 loaded"):
        rollout(release, server.grpc, timeout=SHORT)


def test_keep_rollout_that_is_larger_than_a_record_may_be_says_so(
    release: Release, server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    found = rollout(release, server.grpc)
    storage = open_storage(bucket_of(release))
    keep_rollout(storage, replace(found, servers=found.servers * 5000))
    assert "rollout.json is not stored, and no page shows it: Rollout record: expected at most" in caplog.text
    assert read_rollout(storage, MODEL, release.version) == found


def test_read_rollout_of_another_version_is_refused(
    release: Release, server: ModelServer, bucket: str
) -> None:
    storage = open_storage(bucket)
    found = rollout(release, server.grpc)
    assert read_rollout(storage, MODEL, 7) is None
    name = f"digits/reports/7/{'0' * 16}-rollout.json"
    storage.create(name, json.dumps(found.to_json()).encode())
    with pytest.raises(InvalidRecord, match="expected a result of version 7 of digits, got a result of"):
        read_rollout(storage, MODEL, 7)


def test_command_prints_the_record_and_one_line_and_fails(
    release: Release, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rollout", "--model", "digits", "--bucket", bucket_of(release), "--format", "json"]
    assert main([*command, "--servers", server.grpc]) == 0
    assert Rollout.from_text(capsys.readouterr().out, "stdout").confirmed

    server.set(versions={"7": "AVAILABLE"})
    assert main([*command, "--servers", server.grpc, "--timeout", str(SHORT)]) == 1
    printed = capsys.readouterr()
    assert not Rollout.from_text(printed.out, "stdout").confirmed
    (line,) = [line for line in printed.err.splitlines() if line.startswith("error")]
    assert line.startswith(
        "error [RolloutFailed]: 1 of 1 servers not confirmed after 0.1 s: grpc://127.0.0.1:"
    )


def test_command_shows_a_table(
    release: Release, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["rollout", "--model", "digits", "--bucket", bucket_of(release), "--format", "table"]
    assert main([*command, "--servers", server.rest]) == 0
    shown = capsys.readouterr().out
    assert server.rest in shown
    assert "confirmed" in shown


def test_parse_servers_of_the_largest_number_takes_them_all() -> None:
    names = [f"grpc://server-{number}:8500" for number in range(64)]
    assert [server.text for server in parse_servers([",".join(names), names[0]])] == names


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "servers: expected 1 to 64 servers, got 0"),
        (
            ["--servers", ",".join(f"grpc://server-{number}:8500" for number in range(65))],
            "servers: expected 1 to 64 servers, got 65",
        ),
        (["--servers", " , "], "servers: expected 1 to 64 servers, got 0"),
        (["--servers", ",".join(f"grpc://a:{n}" for n in range(1, 99))], "1 to 64 servers, got 98"),
        (["--servers", f"grpc://{'a.' * 300}b:1"], "expected grpc://HOST:PORT"),
        (["--servers", "models:8500"], "expected grpc://HOST:PORT"),
        (["--servers", "grpc://models"], "expected grpc://HOST:PORT"),
        (["--servers", "grpc://me:secret@models:8500"], "remove any user, password or path"),
        (["--servers", "ftp://models:8500"], "expected grpc://HOST:PORT"),
        (["--servers", "http://models:8501/v1/models/digits"], "expected grpc://HOST:PORT"),
        (["--servers", "http://models:8501/../x"], "expected grpc://HOST:PORT"),
        (["--servers", "grpc://mod els:8500"], "expected grpc://HOST:PORT"),
        (["--servers", "grpc://models:0"], "expected a port from 1 to 65535, got 0"),
        (["--servers", "grpc://models:65536"], "expected a port from 1 to 65535, got 65536"),
        (["--servers", "k8s://models:8500"], "k8s://NAMESPACE/SERVICE:PORT"),
        (["--servers", "grpc://serving/models:8500"], "k8s://NAMESPACE/SERVICE:PORT"),
        (["--servers", "vertex://projects/p/endpoints/1"], "vertex://projects/P"),
        (["--servers", "grpc://a:1", "--timeout", "0"], "expected more than 0 and at most 604800 s, got 0"),
        (["--servers", "grpc://a:1", "--timeout", "-5"], "expected more than 0 and at most 604800 s, got -5"),
        (["--servers", "grpc://a:1", "--timeout", "1e12"], "at most 604800 s, got 1e+12"),
        (
            ["--servers", "grpc://a:1", "--timeout", "nan"],
            "expected more than 0 and at most 604800 s, got nan",
        ),
        (["--servers", "grpc://a:1", "--tolerance", "-1"], "tolerance: expected 0 or more, got -1"),
    ],
)
def test_command_of_wrong_flags_is_refused_before_anything_is_asked(
    flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["rollout", "--model", "digits", "--bucket", "gs://nowhere", *flags])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert status in {1, 2}
    assert expected in line
