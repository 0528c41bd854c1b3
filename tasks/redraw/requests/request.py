"""What all requests have in common: they become JSON and flags, and come from them, checked."""

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
    """What every request can do: become JSON, and come from it, checked."""

    def __post_init__(self) -> None:
        """Parse its names and URIs; nothing below does it again."""
        parse_names(self)

    def to_json(self) -> dict[str, Any]:
        """The request as JSON values."""
        return encode_dataclass(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a request.

        Raises:
            InvalidRequest: A missing or unknown key, or a value of a wrong type.
            InvalidName: A name or a URI that could lead somewhere else.
        """
        command = cls.__name__.removesuffix("Request").lower()
        if not isinstance(value, dict):
            raise InvalidRequest(f"{command} request: expected a JSON object, got {value!r:.60}.")
        try:
            return decode_dataclass(cls, value)
        except JsonMismatch as err:
            raise InvalidRequest(f"{command} request: {err}. Correct the request.") from err


def flag(help_text: str, **more: Any) -> Any:
    """A request's field and its flag; `more` is the default, and what goes into the metadata."""
    default = {"default": more.pop("default")} if "default" in more else {}
    return field(**default, metadata={"help": help_text, **more})


def settle_times(request: Request, command: str, *names: str) -> None:
    """Bring a request's times, while it is made, into the form that a record has them in.

    Raises:
        InvalidRequest: One is no time; the message names it.
    """
    for name in names:
        text = getattr(request, name)
        try:
            # The only way to set a field of a frozen dataclass while it is made.
            object.__setattr__(request, name, None if text is None else parse_time(text))
        except ValueError as err:
            raise InvalidRequest(f"{command} request: {name}: {err}. Correct it.") from err
