"""The result of a rollout: what each model server showed after a version was made live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redraw.names import ModelName
from redraw.records.base import Record
from redraw.records.events import ModelEvent, events_field
from redraw.records.forms import Amount, Count, Seconds, ShortText, Time, Version
from redraw.uri import Uri

ServerState = Literal[
    "confirmed",
    "loaded",
    "loading",
    "other_version",
    "unknown_model",
    "unreachable",
    "no_status",
    "stopped",
    "load_failed",
    "refused",
    "wrong_answer",
]


@dataclass(frozen=True, kw_only=True)
class ServerRollout:
    """The last state of one model server.

    Attributes:
        server: Its name in the request, such as `grpc://models:8500`.
        address: Which of its addresses this is; empty if the name has none.
        state: `confirmed`, or the problem.
        expected: What a server with the version shows.
        received: What this server showed.
        advice: What to do about it; empty if it is confirmed.
        versions: The newest 100 versions that it had loaded; empty if it does not say.
        loaded_seconds: When it first had the version, from the start; None if it never had.
        seconds: When it was last asked, from the start.
        compared: The signatures whose recorded request it answered as recorded.
        largest_error: The largest difference from the recorded answers' floats.
    """

    server: ShortText
    address: ShortText
    state: ServerState
    expected: ShortText
    received: ShortText
    advice: ShortText = ""
    versions: tuple[Count, ...] = ()
    loaded_seconds: Seconds | None = None
    seconds: Seconds = 0.0
    compared: tuple[ShortText, ...] = ()
    largest_error: Amount | None = None

    def __str__(self) -> str:
        """One line for messages."""
        place = f"{self.server} ({self.address})" if self.address else self.server
        end = f" {self.advice}" if self.advice else ""
        return f"{place}: expected {self.expected}, got {self.received}.{end}"


@dataclass(frozen=True, kw_only=True)
class Rollout(Record):
    """Whether the model servers have a version and answer as recorded.

    Attributes:
        model: The definition's name.
        version: The version that they must have.
        uri: Its `gs://` folder.
        confirmed: Whether all servers have it, and answered as recorded.
        servers: Each address of each server.
        began_at: When they were first asked, by the clock of the asking machine.
        seconds: How long it took, by a monotonic clock.
        tolerance: How much floats might differ; None if the version has no recorded answers.
        rolled_back_to: The version that the rollback made live; None if nothing was rolled back.
        note: Why nothing was rolled back or compared; otherwise empty.
        by: Who requested it.
        events: The events of the rollback that were sent to webhooks; only printed.
    """

    model: ModelName
    version: Version
    uri: Uri
    confirmed: bool
    servers: tuple[ServerRollout, ...]
    began_at: Time
    seconds: Seconds
    tolerance: Amount | None = None
    rolled_back_to: Version | None = None
    note: str = ""
    by: str = ""
    events: tuple[ModelEvent, ...] = events_field()
