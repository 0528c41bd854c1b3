"""What was published next to a version, for people to look at: read, or the reason why it cannot be.

Anyone who may write to the bucket can put anything there. What is no JSON of the form that
validation writes is reported on the page in its place; the rest of the page is shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from redraw.errors import InvalidRecord, ObjectConflict
from redraw.publish.browse import Browser
from redraw.records import Release
from redraw.records.codec import JsonMismatch, decode_dataclass
from redraw.records.schema import ATTACHMENT_SCHEMA, SCHEMA, check_schema

__all__ = ["PARSED_BYTES", "Kept", "decode_kept", "read_kept"]

T = TypeVar("T")
# Parsed, JSON takes ten times its bytes of the API server's memory; a ledger of 60,000 variables fits.
PARSED_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Kept(Generic[T]):
    """Something published next to a version.

    Attributes:
        content: What it says; None where it is not kept, or cannot be read.
        problem: Why it cannot be read; empty where it can, or is not kept.
    """

    content: T | None = None
    problem: str = ""


def read_kept(browser: Browser, release: Release, name: str, read: Callable[[bytes], T]) -> Kept[T]:
    """Read an attachment of a version.

    Args:
        browser: The bucket's.
        release: The version's record.
        name: The attachment's.
        read: What makes sense of its bytes, and raises `InvalidRecord` where there is none.

    Returns:
        What it says; nothing where the version was published without it.
    """
    try:
        content = browser.attachment(release, name, PARSED_BYTES)
        return Kept() if content is None else Kept(content=read(content))
    except (InvalidRecord, ObjectConflict) as err:
        return Kept(problem=str(err))


def decode_kept(cls: type[T], content: bytes, field: str = "", known: int = ATTACHMENT_SCHEMA) -> T:
    """Read JSON as a dataclass; keys that it does not have are passed over.

    Args:
        cls: The dataclass.
        content: One JSON object.
        field: The only field of the dataclass, if the object of schema 0 was its value.
        known: The newest schema number that is known of it.

    Raises:
        NewerRecord: A newer version of Redraw wrote it.
        InvalidRecord: It is no such object.
    """
    try:
        value: Any = json.loads(content)
        if not isinstance(value, Mapping):
            raise JsonMismatch("expected an object")
        if field and not isinstance(value.get(SCHEMA), int):
            value = {field: value}
        value = check_schema(value, known, cls.__name__.strip("_").lower())
        names = {declared.name for declared in fields(cls)}  # type: ignore[arg-type]
        return decode_dataclass(cls, {key: item for key, item in value.items() if key in names})
    except (ValueError, RecursionError) as err:
        raise InvalidRecord(
            f"expected what validation writes, got something else ({err}). Find out who wrote it."
        ) from err
