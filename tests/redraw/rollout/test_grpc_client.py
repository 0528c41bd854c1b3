"""How answers by gRPC are read; no server."""

from __future__ import annotations

import math
from typing import Any

import grpc
import numpy as np
import pytest

from redraw.checkpoint.bundle.messages import GetModelStatusResponse, PredictResponse
from redraw.records import TensorSpec
from redraw.rollout.client import BadAnswer, NotReached, Question, Target
from redraw.rollout.grpc_client import _encode, _failure, _NotThere, decode_answer, decode_status

TARGET = Target(model="digits", version=7)


class Refusal(grpc.RpcError):
    """The error of a call."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        super().__init__()
        self.code, self.details = lambda: code, lambda: details


@pytest.mark.parametrize(
    ("code", "details", "kind", "said"),
    [
        ("NOT_FOUND", "no such model", _NotThere, "no such model"),
        ("DEADLINE_EXCEEDED", "late", NotReached, "no answer within 0.5 s"),
        ("UNAVAILABLE", "refused", NotReached, "refused"),
        ("CANCELLED", "ended", NotReached, "ended"),
        ("ABORTED", None, NotReached, "no reason"),
        ("INTERNAL", "", BadAnswer, "INTERNAL instead of an answer: no reason"),
        (
            "RESOURCE_EXHAUSTED",
            "large",
            BadAnswer,
            "RESOURCE_EXHAUSTED instead of an answer of at most 9 bytes: large",
        ),
    ],
)
def test_failed_call_is_one_that_passes_or_a_bad_answer(
    code: str, details: str | None, kind: type[Exception], said: str
) -> None:
    error = _failure(Refusal(grpc.StatusCode[code], details), 0.5, 9)
    assert (type(error), str(error)) == (kind, said)


def answer(version: int = 0, **outputs: np.ndarray) -> bytes:
    response: Any = PredictResponse()
    response.model_spec.version.value = version
    for name, values in outputs.items():
        response.outputs.add(key=name.encode(), value=_encode(values))
    return bytes(response.SerializeToString())


def question(**outputs: np.ndarray) -> Question:
    specs = {name: TensorSpec(str(values.dtype), None) for name, values in outputs.items()}
    return Question(signature="s", inputs={}, outputs=outputs, specs=specs)


@pytest.mark.parametrize("version", [0, 7])
def test_answer_of_this_version_or_of_one_that_it_does_not_say_is_read(version: int) -> None:
    asked = question(y=np.float32([1, 2]))
    answered = decode_answer(TARGET, asked, answer(version, y=np.float32([3, 4]), z=np.int64([5])))
    assert {name: values.tolist() for name, values in answered.items()} == {"y": [3, 4]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (answer(8, y=np.float32([3, 4])), "^an answer of version 8$"),
        (answer(z=np.float32([3, 4])), "^an answer without the output 'y'$"),
        (answer(y=np.int64([3, 4])), "^output 'y': int64 instead of float32$"),
        (answer(y=np.float32([3, 4, 5])), "^output 'y': .*at most 2 elements"),
        (b"\xff", "."),
    ],
)
def test_answer_of_another_form_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadAnswer, match=said):
        decode_answer(TARGET, question(y=np.float32([1, 2])), content)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 3)])
def test_answer_of_any_shape_is_read(shape: tuple[int, ...]) -> None:
    values = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    answered = decode_answer(TARGET, question(y=values), answer(y=values))
    np.testing.assert_array_equal(answered["y"], values)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (10, "loading"),
        (20, "loading"),
        (30, "loaded"),
        (40, "other_version"),
        (50, "load_failed"),
        (60, "other_version"),
    ],
)
def test_status_of_each_state_is_read(state: int, expected: str) -> None:
    response: Any = GetModelStatusResponse()
    status = response.model_version_status.add(version=7, state=state)
    status.status.error_message = b"no room"
    look = decode_status(TARGET, response.SerializeToString())
    assert (look.state, "no room" in look.received) == (expected, state == 50)
