"""The base class of records, which converts them to JSON and back, with checks.

Each record names its kind under the key `record`, so that no stage takes it for another kind, and the number
of its form under `schema`, so that a reader refuses records of a newer version of Redraw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from redraw.errors import InvalidName, InvalidRecord
from redraw.records.codec import JsonMismatch, decode_dataclass, encode_dataclass, parse_names, shorten
from redraw.records.json_text import RECORD_BYTES, parse_json
from redraw.records.schema import SCHEMA, check_schema


@dataclass(frozen=True, kw_only=True)
class Record:
    """The base class of records, which converts them to JSON and back, with checks.

    Attributes:
        schema: The number of the form that this version writes. Raise it with every key that is added,
            renamed or removed, because readers refuse unknown keys; and keep reading the old form.
    """

    schema: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Parse its names and URIs."""
        parse_names(self)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, its kind under `record` and its form under `schema`."""
        return {"record": type(self).__name__, SCHEMA: self.schema, **encode_dataclass(self)}

    def stored(self) -> Self:
        """The record as it is stored in a bucket: without fields that only commands print."""
        printed = {declared.name: () for declared in fields(self) if declared.metadata.get("printed")}
        return replace(self, **printed) if printed else self

    def to_bytes(self) -> bytes:
        """The record as the content of a file, indented."""
        return json.dumps(self.to_json(), indent=2, allow_nan=False).encode()

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a record of this kind.

        Args:
            value: The result of `to_json`: a JSON object.

        Returns:
            The record.

        Raises:
            NewerRecord: A newer version of Redraw wrote it.
            InvalidRecord: It is another kind of record, has a missing or unknown key, or a value of a wrong
                type; the message names the key.
        """
        return cls._decoded(value, "Pass the record that the previous stage printed.")

    @classmethod
    def _decoded(cls, value: object, advice: str) -> Self:
        if not isinstance(value, Mapping):
            raise InvalidRecord(f"expected a {cls.__name__} record, got {shorten(value)}.")
        kind = value.get("record")
        if kind != cls.__name__:
            raise InvalidRecord(
                f"expected a {cls.__name__} record, got {shorten(kind)} under 'record'. {advice}"
            )
        fields = check_schema(value, cls.schema, f"{cls.__name__} record")
        del fields["record"]
        try:
            return decode_dataclass(cls, fields)
        except JsonMismatch as err:
            raise InvalidRecord(f"{cls.__name__} record: {err}.") from err
        except InvalidName as err:
            raise InvalidRecord(f"{cls.__name__} record: {err}") from err

    @classmethod
    def from_text(cls, text: str | bytes, where: str, most: int = RECORD_BYTES) -> Self:
        """Read a record from a file's content.

        Args:
            text: The content.
            where: The file's name, for messages.
            most: The largest length that is accepted.

        Raises:
            NewerRecord: A newer version of Redraw wrote it.
            InvalidRecord: It is no JSON, too long or too deep, or no record of this kind.
        """
        try:
            return cls._decoded(
                parse_json(text, most),
                "Restore the file that Redraw wrote, or run the stage that writes it again.",
            )
        except InvalidRecord as err:
            raise type(err)(f"{where}: {err}") from err
        except JsonMismatch as err:
            raise InvalidRecord(
                f"{where}: {err}. Restore the file that Redraw wrote, or run the stage that writes it again."
            ) from err


@dataclass(frozen=True, kw_only=True)
class UnreadableRecord:
    """A record that a list leaves out: its URI, and why it cannot be read."""

    uri: str
    reason: str
