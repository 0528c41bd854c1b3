"""The base class of requests, which converts them to JSON and back, with checks, and declares flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from redraw.errors import InvalidRequest
from redraw.records.codec import JsonMismatch, decode_dataclass, encode_dataclass, parse_names
from redraw.records.times import parse_time

# The help of flags that several commands have.
BY = "who asks for it (default: the user and the machine)"
WAIVE = "CHECK=REASON: publish although this check cannot be run; may be repeated"


@dataclass(frozen=True, kw_only=True)
class Request:
    """The base class of requests, which converts them to JSON and back, with checks."""

    def __post_init__(self) -> None:
        """Parse its names and URIs, so that no other code has to."""
        parse_names(self)

    def to_json(self) -> dict[str, Any]:
        """The request as JSON values."""
        return encode_dataclass(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a request.

        Raises:
            InvalidRequest: A key is missing or unknown, or a value has a wrong type.
            InvalidName: A name or a URI could lead somewhere else.
        """
        command = cls.__name__.removesuffix("Request").lower()
        if not isinstance(value, dict):
            raise InvalidRequest(f"{command} request: expected a JSON object, got {value!r:.60}.")
        try:
            return decode_dataclass(cls, value)
        except JsonMismatch as err:
            raise InvalidRequest(f"{command} request: {err}. Correct the request.") from err


def flag(help_text: str, **more: Any) -> Any:
    """A request's field with its flag; `more` has the default, and other metadata."""
    default = {"default": more.pop("default")} if "default" in more else {}
    return field(**default, metadata={"help": help_text, **more})


def settle_times(request: Request, command: str, *names: str) -> None:
    """Convert a request's times, while it is made, to the form of records.

    Raises:
        InvalidRequest: A value is no time; the message names it.
    """
    for name in names:
        text = getattr(request, name)
        try:
            # The only way to set a field of a frozen dataclass while it is made.
            object.__setattr__(request, name, None if text is None else parse_time(text))
        except ValueError as err:
            raise InvalidRequest(f"{command} request: {name}: {err}. Correct the value.") from err
