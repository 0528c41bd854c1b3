"""The interface of model server clients: ask which version a server has, and send a recorded request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from redraw.errors import one_line, printable
from redraw.records import TensorSpec

_LONGEST = 300
# Bytes for outputs that are not recorded, because they vary, but are in the response.
_SPARE = 1 << 20


class NotReached(Exception):
    """The server did not answer: it is down, is starting or restarting, or took too long."""


class BadAnswer(Exception):
    """The server refused a request, or sent a malformed response."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The model, by its name on the server, and the version that a server must have."""

    model: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Look:
    """A server's report on a version: its state, a description, and all versions that are loaded."""

    state: Literal["loaded", "loading", "other_version", "unknown_model", "load_failed"]
    received: str
    versions: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A recorded request.

    Attributes:
        signature: The signature to ask.
        inputs: Input name to values; strings as object arrays of bytes.
        outputs: Output name to the recorded answer.
        specs: The dtype and shape of each of these outputs, from the release record.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    specs: Mapping[str, TensorSpec]

    @property
    def most_bytes(self) -> int:
        """The largest response that is read: more than the recorded one takes in the longest encoding."""
        return _SPARE + sum(
            sum(map(len, values.flat)) * 6 if values.dtype.kind == "O" else values.size * 40
            for values in self.outputs.values()
        )


class Client(Protocol):
    """One server at one address."""

    def look(self, target: Target, seconds: float) -> Look:
        """Ask which version the server has.

        Raises:
            NotReached: It did not answer within so many seconds.
            BadAnswer: It refused, or its response is malformed.
        """

    def answer(self, target: Target, question: Question, seconds: float) -> Mapping[str, np.ndarray] | None:
        """Send a recorded request to the version.

        Returns:
            Output name to values, for the recorded outputs; None if the protocol cannot ask the signature.

        Raises:
            NotReached: It did not answer within so many seconds.
            BadAnswer: It refused, or its response is malformed.
        """


def short_text(text: object) -> str:
    """A server's text, printable and short enough for a message."""
    return one_line(printable(str(text)[: 4 * _LONGEST]), _LONGEST)


def judge_versions(version: int, states: Mapping[int, tuple[str, str]]) -> Look:
    """The report on one version, from the states of all versions of a model.

    Args:
        version: The version that the server must have.
        states: Version to its state, a name of `ModelVersionStatus`, and an error's message.

    Source:
        https://github.com/tensorflow/serving/blob/2.19.1/tensorflow_serving/apis/get_model_status.proto
    """
    loaded = tuple(sorted(number for number, (state, _) in states.items() if state == "AVAILABLE"))
    state, error = states.get(version, ("", ""))
    if state == "AVAILABLE":
        return Look(state="loaded", received=f"version {version} loaded", versions=loaded)
    if state == "END" and error:
        received = f"version {version} failed to load: {short_text(error)}"
        return Look(state="load_failed", received=received, versions=loaded)
    if state in {"START", "LOADING"}:
        return Look(state="loading", received=f"version {version} loading", versions=loaded)
    have = f"version {', '.join(map(str, loaded[-5:]))} loaded" if loaded else "no version loaded"
    return Look(state="other_version", received=have, versions=loaded)
