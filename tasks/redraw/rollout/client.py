"""What is asked of a model server, in whatever protocol: which version it has, and a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from redraw.errors import one_line, printable
from redraw.records import TensorSpec

_LONGEST = 300
# Outputs that vary are not recorded, and come as well.
_SPARE = 1 << 20


class NotReached(Exception):
    """The server did not answer: it is not there, is starting or restarting, or took too long."""


class BadAnswer(Exception):
    """The server answered something that nobody asked for, or refused."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Which version of which model a server has to have; the model by its name there."""

    model: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a server said of a version: its state, in what words, and all versions that it has loaded."""

    state: Literal["loaded", "loading", "other_version", "unknown_model", "load_failed"]
    received: str
    versions: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A recorded request.

    Attributes:
        signature: Which signature it is for.
        inputs: Input name to values; strings as object arrays of bytes.
        outputs: Output name to the recorded answer.
        specs: What the release record says of each of these outputs.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    specs: Mapping[str, TensorSpec]

    @property
    def most_bytes(self) -> int:
        """How large an answer is read: what the recorded one takes in the wordiest protocol, and more."""
        return _SPARE + sum(
            sum(map(len, values.flat)) * 6 if values.dtype.kind == "O" else values.size * 40
            for values in self.outputs.values()
        )


class Client(Protocol):
    """One server at one address."""

    def look(self, target: Target, seconds: float) -> Look:
        """Ask which version it has.

        Raises:
            NotReached: It did not answer within so many seconds.
            BadAnswer: It answered something else.
        """

    def answer(self, target: Target, question: Question, seconds: float) -> Mapping[str, np.ndarray] | None:
        """Ask a recorded request of the version; raises as `look`.

        Returns:
            Output name to values, of those outputs that the question asks for; None if the protocol has no
            way to ask that signature.
        """


def short_text(text: object) -> str:
    """What a server said: printable, and short enough for a message."""
    return one_line(printable(str(text)[: 4 * _LONGEST]), _LONGEST)


def judge_versions(version: int, states: Mapping[int, tuple[str, str]]) -> Look:
    """What the states of a model's versions say of one of them.

    Args:
        version: The version that the server has to have.
        states: Version to its state, as `ModelVersionStatus` names it, and an error's message.

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
