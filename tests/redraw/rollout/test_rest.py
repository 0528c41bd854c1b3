"""What the clients of REST APIs ask, and how they read each answer; no server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from redraw.records import TensorSpec
from redraw.rollout.addresses import parse_servers
from redraw.rollout.client import BadAnswer, Look, NotReached, Question, Target
from redraw.rollout.http import Reply
from redraw.rollout.rest import KServeClient, RestClient, _reshaped, decode_columns, decode_states

VERSION = 2025030112000000
TARGET = Target(model="Digits 2", version=VERSION)
V1, V2 = "/v1/models/Digits%202", "/v2/models/Digits%202"
UNNAMED = Look(state="loaded", received="a model that is ready, whose version is unknown")
NOT_THERE = Reply(status=404, value={"error": "none here"})

Serve = Callable[[Mapping[str, Any]], list[tuple[str, Any]]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Answers by path, with a `Reply` or with the JSON of status 200; returns what is asked."""

    def start(answers: Mapping[str, Any]) -> list[tuple[str, Any]]:
        asked: list[tuple[str, Any]] = []

        def answer(_: object, path: str, *, body: Any = None, **__: object) -> Reply:
            asked.append((path, body))
            reply = answers.get(path, NOT_THERE)
            return reply if isinstance(reply, Reply) else Reply(status=200, value=reply)

        monkeypatch.setattr("redraw.rollout.rest.ask_http", answer)
        return asked

    return start


def client(kind: type[RestClient] = KServeClient) -> RestClient:
    (server,) = parse_servers(["kserve+http://127.0.0.1:1"])
    return kind(server, "127.0.0.1")


def question(signature: str = "serving_default", **more: Any) -> Question:
    inputs, outputs = {"x": np.float32([1, 2])}, {"y": np.float32([3, 4])}
    specs = {name: TensorSpec("float32", (None,)) for name in more.get("outputs", outputs)}
    return Question(**{"signature": signature, "inputs": inputs, "outputs": outputs, "specs": specs, **more})


@pytest.mark.parametrize(
    ("answers", "look"),
    [
        (
            {V2: {"versions": [VERSION, "8"]}, f"{V2}/versions/{VERSION}/ready": {}},
            Look(state="loaded", received=f"version {VERSION} ready", versions=(VERSION, 8)),
        ),
        (
            {V2: {"versions": [str(VERSION)]}, f"{V2}/versions/{VERSION}/ready": {"ready": False}},
            Look(state="loading", received="a model that is not ready: HTTP status 200"),
        ),
        (
            {V2: {"versions": ["8", "7"]}},
            Look(state="other_version", received="version 7, 8 loaded", versions=(7, 8)),
        ),
        ({V2: {"versions": ["8", "main"]}, f"{V2}/ready": {"ready": True}}, UNNAMED),
        ({V2: {"versions": [str(VERSION * 10)]}, f"{V2}/ready": None}, UNNAMED),
        ({V2: {"versions": []}, f"{V2}/ready": {}}, UNNAMED),
        ({V2: {"versions": "8"}, f"{V2}/ready": {}}, UNNAMED),
        (
            {V2: {}, f"{V2}/ready": Reply(status=400, value=None)},
            Look(state="loading", received="a model that is not ready: HTTP status 400"),
        ),
        ({V1: {"ready": True}}, UNNAMED),
        ({V1: {"ready": "True"}}, UNNAMED),
        ({V1: {"ready": "False"}}, Look(state="loading", received="a model that is not ready")),
        ({V1: {}}, Look(state="loading", received="a model that is not ready")),
        (
            {V1: {"model_version_status": [{"version": VERSION, "state": "AVAILABLE"}]}},
            Look(state="loaded", received=f"version {VERSION} loaded", versions=(VERSION,)),
        ),
        ({}, Look(state="unknown_model", received="no model 'Digits 2': none here")),
    ],
)
def test_look_by_kserve_says_what_the_server_has(
    answers: Mapping[str, Any], look: Look, serve: Serve
) -> None:
    asked = serve(answers)
    assert client().look(TARGET, 1.0) == look
    assert {path for path, _ in asked} == {V2, V1, *answers} - ({V1} if V2 in answers else set())


def test_look_by_rest_of_a_model_that_is_not_there_says_so(serve: Serve) -> None:
    serve({})
    assert client(RestClient).look(TARGET, 1.0).state == "unknown_model"


def test_answer_by_rest_of_a_version_that_is_gone_is_as_if_nobody_answered(serve: Serve) -> None:
    serve({})
    with pytest.raises(NotReached, match="HTTP status 404: none here"):
        client(RestClient).answer(TARGET, question(), 1.0)


def test_answer_by_kserve_takes_the_version_of_the_protocol_that_the_look_found(serve: Serve) -> None:
    kserve = client()
    asked = serve({V1: {"ready": True}, f"{V1}:predict": {"outputs": [5.0, 6.0]}})
    kserve.look(TARGET, 1.0)
    answered = kserve.answer(TARGET, question("other"), 1.0)
    assert answered is not None
    assert answered["y"].tolist() == [5.0, 6.0]
    assert asked[-1] == (f"{V1}:predict", {"signature_name": "other", "inputs": {"x": [1.0, 2.0]}})

    outputs = [{"name": "z"}, 7, {"name": "y", "data": [5.0, 6.0], "shape": [2], "datatype": "FP32"}]
    asked = serve({V2: {}, f"{V2}/ready": {}, f"{V2}/infer": {"outputs": outputs}})
    kserve.look(TARGET, 1.0)
    asked.clear()
    answered = kserve.answer(TARGET, question(), 1.0)
    assert answered is not None
    assert answered["y"].tolist() == [5.0, 6.0]
    # Version 2 of the protocol asks no other signature, and has only UTF-8.
    assert kserve.answer(TARGET, question("other"), 1.0) is None
    assert kserve.answer(TARGET, question(inputs={"x": np.array([b"\xff"], object)}), 1.0) is None
    assert [path for path, _ in asked] == [f"{V2}/infer"]
    serve({f"{V2}/infer": {"outputs": {"y": [5.0, 6.0]}}})
    with pytest.raises(BadAnswer, match="an answer without the output 'y'"):
        kserve.answer(TARGET, question(), 1.0)


@pytest.mark.parametrize(
    ("values", "datatype", "data"),
    [
        (np.array([[b"a"], ["ä".encode()]], object), "BYTES", [["a"], ["ä"]]),
        (np.array([1.5], ml_dtypes.bfloat16), "BF16", [1.5]),
        (np.float16([1.5]), "FP16", [1.5]),
        (np.float32([1.5]), "FP32", [1.5]),
        (np.float64([1.5]), "FP64", [1.5]),
        (np.int64([[1, 2]]), "INT64", [[1, 2]]),
        (np.uint8([7]), "UINT8", [7]),
        (np.array([True]), "BOOL", [True]),
    ],
)
def test_answer_by_kserve_asks_with_shape_and_datatype(
    values: np.ndarray, datatype: str, data: list[Any], serve: Serve
) -> None:
    asked = serve({f"{V2}/infer": {"outputs": [{"name": "y", "data": [5.0, 6.0]}]}})
    client().answer(TARGET, question(inputs={"x": values}), 1.0)
    tensor = {"name": "x", "shape": list(values.shape), "datatype": datatype, "data": data}
    assert asked == [(f"{V2}/infer", {"inputs": [tensor]})]


@pytest.mark.parametrize(
    ("outputs", "names", "values"),
    [
        ([5.0, 6.0], ["y"], {"y": [5.0, 6.0]}),
        ({"y": [5.0, 6.0]}, ["y"], {"y": [5.0, 6.0]}),
        ({"y": [5.0], "z": [6.0], "b64": [7.0]}, ["y", "z"], {"y": [5.0], "z": [6.0]}),
        ([5.0, 6.0], ["y", "z"], None),
        ({"z": [5.0]}, ["y"], None),
        (None, ["y", "z"], None),
    ],
)
def test_columns_of_one_output_may_come_without_its_name(
    outputs: Any, names: list[str], values: dict[str, Any] | None
) -> None:
    asked = question(outputs=dict.fromkeys(names, np.float32([3])))
    reply = Reply(status=200, value={"outputs": outputs})
    if values is None:
        with pytest.raises(BadAnswer, match="an answer without the output 'y'"):
            decode_columns(asked, reply)
    else:
        assert {name: value.tolist() for name, value in decode_columns(asked, reply).items()} == values


def test_columns_of_one_text_in_base64_are_that_text() -> None:
    specs = {"y": TensorSpec("string", ())}
    asked = question(outputs={"y": np.array(b"", object)}, specs=specs)
    answered = decode_columns(asked, Reply(status=200, value={"outputs": {"b64": "/w=="}}))
    assert answered["y"].item() == b"\xff"


@pytest.mark.parametrize(
    ("output", "values"),
    [
        ({"data": [1, 2, 3, 4, 5, 6], "shape": [2, 3]}, [[1, 2, 3], [4, 5, 6]]),
        ({"data": [[1, 2], [3, 4]], "shape": [4, 1]}, [[1, 2], [3, 4]]),
        ({"data": [1, 2], "shape": [2]}, [1, 2]),
        ({"data": [1, 2], "shape": 2}, [1, 2]),
        ({"data": 1, "shape": [1, 1]}, 1),
        ({"data": [], "shape": [1 << 20, 0]}, [[]] * (1 << 20)),
        ({"data": [], "shape": [(1 << 20) + 1, 0]}, None),
        ({"data": [1, 2], "shape": [3, 1]}, None),
        ({"data": [1, 2], "shape": [2, "x"]}, None),
    ],
)
def test_flat_values_of_kserve_get_their_shape(output: dict[str, Any], values: Any) -> None:
    if values is None:
        with pytest.raises(BadAnswer, match="output 'y': values that do not fit its shape"):
            _reshaped({"name": "y", **output})
    else:
        assert _reshaped({"name": "y", **output}) == values


def test_states_of_versions_are_read_as_far_as_they_are_versions() -> None:
    entries = [
        {"version": str(VERSION), "state": "END", "status": {"error_message": "no room"}},
        {"version": 7, "state": "AVAILABLE", "status": {"error_message": None}},
        {"version": "8", "state": "LOADING", "status": "OK"},
        {"version": str(VERSION * 10), "state": "AVAILABLE"},
        {"version": "-9", "state": "AVAILABLE"},
        {"state": "AVAILABLE"},
        "AVAILABLE",
    ]
    states = decode_states(Reply(status=200, value={"model_version_status": entries}))
    assert list(states) == [(VERSION, ("END", "no room")), (7, ("AVAILABLE", "")), (8, ("LOADING", ""))]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=500, value={"error": "broken"}), "HTTP status 500: broken"),
        (Reply(status=200, value=[]), "an answer that is not a JSON object"),
        (Reply(status=200, value={"model_version_status": {}}), "an answer without model_version_status"),
    ],
)
def test_states_that_are_none_are_a_bad_answer(reply: Reply, said: str) -> None:
    with pytest.raises(BadAnswer, match=said):
        list(decode_states(reply))
