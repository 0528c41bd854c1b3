"""What every record can do: become JSON, and come back from it, checked.

Each record names its kind under the key `record`, so that one stage's record is
never taken for another's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from redraw.errors import InvalidRecord
from redraw.records.codec import JsonMismatch, decode_dataclass, encode_dataclass

__all__ = ["Record"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What every record can do: become JSON, and come back from it, checked."""

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values, its kind under `record`."""
        return {"record": type(self).__name__, **encode_dataclass(self)}

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a record of this kind.

        Args:
            value: What `to_json` gave: a JSON object.

        Returns:
            The record.

        Raises:
            InvalidRecord: Another kind of record, a missing or unknown key, or a
                value of a wrong type; the message names the key.
        """
        if not isinstance(value, Mapping):
            raise InvalidRecord(f"expected a {cls.__name__} record, got {_shown(value)}.")
        kind = value.get("record")
        if kind != cls.__name__:
            raise InvalidRecord(
                f"expected a {cls.__name__} record, got {_shown(kind)} under 'record'."
                " Pass the record that the stage before this one printed."
            )
        fields = {key: item for key, item in value.items() if key != "record"}
        try:
            return decode_dataclass(cls, fields)
        except JsonMismatch as err:
            raise InvalidRecord(f"{cls.__name__} record: {err}.") from err

    @classmethod
    def from_text(cls, text: str | bytes, where: str) -> Self:
        """Read a record from a file's content; `where` is named in the error."""
        try:
            return cls.from_json(json.loads(text))
        except (InvalidRecord, ValueError) as err:
            raise InvalidRecord(f"{where}: {err}") from err


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
