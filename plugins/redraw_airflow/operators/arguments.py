"""Operators' arguments in every form that Airflow passes: literal, rendered, native, or an XCom.

A template renders a record as text and a flag as `True`. With native rendering, a text of digits becomes a
number, and a missing XCom becomes None. XComs contain NumPy's numbers, decimals and times. Each kind of
argument accepts all of these; any other value is one error that names the argument.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from airflow.sdk import XComArg

from redraw.errors import InvalidRequest
from redraw.records import Record

# Takes an argument's name and value, and returns the value for a request.
Kind: TypeAlias = Callable[[str, Any], Any]
T = TypeVar("T")

_NOTHING = {"", "None", "none", "null"}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# The longest record.
_LONGEST = 2 << 20
_LONGEST_TEXT = 10_000
_TOO_LARGE = 2.0**63


class TakesArguments:
    """An operator that converts each argument by its kind, after rendering.

    Attributes:
        kinds: Argument to its kind.
    """

    kinds: ClassVar[Mapping[str, Kind]]

    if TYPE_CHECKING:  # an argument has the type that its kind returns

        def __getattr__(self, name: str) -> Any: ...

    def keep_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Set a constructor's arguments, its `locals()`, as attributes."""
        for name in arguments.keys() - {"self", "kwargs", "__class__"}:
            setattr(self, name, arguments[name])

    def take_arguments(self) -> None:
        """Convert every argument into the form that requests accept.

        Raises:
            InvalidRequest: An argument's value does not fit its kind.
        """
        for name, kind in self.kinds.items():
            setattr(self, name, kind(name, getattr(self, name)))


def _wrong(name: str, expected: str, value: Any) -> InvalidRequest:
    # The repr of an array or a table has several lines.
    value_text = " ".join(repr(value).split())[:80]
    return InvalidRequest(
        f"{name}: expected {expected}, got {type(value).__name__} {value_text}. Correct the argument."
    )


def is_nothing(value: Any) -> bool:
    """Whether a value is None, an empty text, or the text that a template renders for None."""
    return value is None or (isinstance(value, str) and value.strip() in _NOTHING)


def is_several(value: Any) -> bool:
    """Whether a value is a list, or Airflow's sequence of the XComs of mapped tasks."""
    single = isinstance(value, str | bytes | bytearray | Mapping | os.PathLike | XComArg)
    return isinstance(value, Iterable) and not single and getattr(value, "shape", 1) != ()


def text(name: str, value: Any) -> str | None:
    """A text, a path, or a number as its digits; None if it is empty or a template rendered None."""
    value = _plain(value)
    if is_nothing(value):
        return None
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and len(path) <= _LONGEST_TEXT:
            return path
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise _wrong(name, f"a string of at most {_LONGEST_TEXT} characters", value)


def time(name: str, value: Any) -> str | None:
    """A time or a day in ISO 8601, UTC; a text stays as it is, because the request parses it."""
    try:
        if isinstance(value, datetime):
            zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
            return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError) as err:
        raise _wrong(name, "a time such as 2026-01-31T00:00:00Z", value) from err
    return value.isoformat() if isinstance(value, date) else text(name, value)


def required(kind: Kind) -> Kind:
    """The kind, but None and an empty list are refused."""

    def convert(name: str, value: Any) -> Any:
        converted = kind(name, value)
        if converted is None or converted == []:
            raise InvalidRequest(
                f"{name}: expected a value, got none. Pass a value. If the value comes from another task,"
                " look at the XCom of that task."
            )
        return converted

    return convert


def integer(name: str, value: Any) -> int | None:
    """A whole number, also as text."""
    value = _plain(value)
    parsed = number(name, value, "a whole number")
    if parsed is not None and not (parsed.is_integer() and abs(parsed) < _TOO_LARGE):
        raise _wrong(name, "a whole number", value)
    # A float does not have enough digits for a version.
    exact = isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())
    return None if parsed is None else int(value) if exact else int(parsed)


def number(name: str, value: Any, expected: str = "a number") -> float | None:
    """A number, also as text."""
    value = _plain(value)
    if is_nothing(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong(name, expected, value)
    try:
        parsed = float(value)
    except (ValueError, OverflowError) as err:
        raise _wrong(name, expected, value) from err
    if parsed != parsed or parsed in (float("inf"), float("-inf")):
        raise _wrong(name, expected, value)
    return parsed


def seconds(name: str, value: Any) -> float | None:
    """A duration in seconds, or a `timedelta`."""
    return value.total_seconds() if isinstance(value, timedelta) else number(name, value, "seconds")


def version(name: str, value: Any) -> int | None:
    """A version, or the version in the record of a push or of the live pointer."""
    value = record(name, value) if isinstance(value, str | Mapping | Record) else value
    if isinstance(value, Mapping) and value.get("version") is None:
        raise _wrong(name, "a version, or a record that names one", value)
    return integer(name, value["version"] if isinstance(value, Mapping) else value)


def truth(name: str, value: Any) -> bool:
    """A truth value, also as text; false if there is none."""
    value = _plain(value)
    if is_nothing(value):
        return False
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in _TRUTHS:
        raise _wrong(name, "true or false", value)
    return _TRUTHS[word]


def record(name: str, value: Any) -> Mapping[str, Any] | str | None:
    """A record as JSON, as rendered text or as `Record`; or a path or a URI."""
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return value or None
    if isinstance(value, float):
        raise _wrong(name, "a record, a path or a URI", value)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        parsed = _read(name, value)
        if not isinstance(parsed, Mapping):
            raise _wrong(name, "a record, a path or a URI", value)
        return parsed or None
    try:
        return text(name, value)
    except InvalidRequest as err:
        raise _wrong(name, "a record, a path or a URI", value) from err


def records(name: str, value: Any) -> list[Mapping[str, Any] | str]:
    """Several records, paths or URIs; a single one becomes a list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read(name, value)
    several = value if is_several(value) else [value]
    return _convert_each(record, name, several)


def texts(name: str, value: Any) -> list[str]:
    """The texts of a list, or of a text with line breaks or, like the command line, commas between them.

    A comma separates two only if a name and `=` follow, because reasons are prose with commas.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read(name, value)
    several = re.split(r"\n|,(?=\s*[\w-]+=)", value) if isinstance(value, str) else value
    several = () if several is None else several
    if not is_several(several):
        raise _wrong(name, "a list of strings", value)
    return [item.strip() for item in _convert_each(text, name, several)]


def integers(name: str, value: Any) -> list[int]:
    """The whole numbers of a list, or of text with commas, spaces or line breaks between."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[\s,;\[\]]+", value) if part not in _NOTHING]
    several = value if is_several(value) else [value]
    return _convert_each(integer, name, several)


def _convert_each(kind: Callable[[str, Any], T | None], name: str, values: Iterable[Any]) -> list[T]:
    """Convert each value by the kind of a single one, and leave out those that are nothing."""
    converted = (kind(f"{name}[{index}]", value) for index, value in enumerate(values))
    return [value for value in converted if value is not None]


def mapping(name: str, value: Any) -> Mapping[str, Any] | None:
    """Names to values, also as rendered text."""
    if is_nothing(value):
        return None
    value = _read(name, value) if isinstance(value, str) else value
    if isinstance(value, Record):
        return value.to_json()
    if not isinstance(value, Mapping):
        raise _wrong(name, "a dict from names to values", value)
    return value


def _plain(value: Any) -> Any:
    """A NumPy number or a decimal as a Python number; any other value unchanged."""
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    scalar = getattr(value, "shape", None) == () and hasattr(value, "item")
    return value.item() if scalar else value


def _read(name: str, value: str) -> Any:
    """Parse a text as JSON, or as the Python literal that a template renders for an XCom."""
    try:
        if len(value) > _LONGEST:
            raise ValueError(f"{len(value)} characters")
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as err:
        raise InvalidRequest(
            f"{name}: expected a record as JSON, or a template of a task's XCom, got {value!r:.80} ({err})."
            " Correct the argument."
        ) from err
