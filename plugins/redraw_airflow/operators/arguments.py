"""Operators' arguments in whatever form Airflow passes them: literal, rendered, native, or an XCom.

A template renders a record as text and a flag as `True`; with native rendering a text of digits becomes a
number, and an XCom that is not there becomes None. XComs carry NumPy's numbers, decimals and times. Each kind
of argument takes all of these, and what it cannot take is one error that names the argument.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from airflow.sdk import XComArg

from redraw.errors import InvalidRequest
from redraw.records import Record

# Makes of an argument's name and value the value that a request takes.
Kind: TypeAlias = Callable[[str, Any], Any]

_NOTHING = {"", "None", "none", "null"}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# As long as a record may be.
_LONGEST = 2 << 20
_LONGEST_TEXT = 10_000
_TOO_LARGE = 2.0**63


class TakesArguments:
    """An operator whose arguments are taken by kind, once they are rendered.

    Attributes:
        kinds: Argument to its kind.
    """

    kinds: ClassVar[Mapping[str, Kind]]

    if TYPE_CHECKING:  # an argument is what its kind makes of it

        def __getattr__(self, name: str) -> Any: ...

    def keep_arguments(self, given: Mapping[str, Any]) -> None:
        """Keep what a constructor was given, its `locals()`, each argument under its name."""
        for name in given.keys() - {"self", "kwargs", "__class__"}:
            setattr(self, name, given[name])

    def take_arguments(self) -> None:
        """Bring every argument into the form that requests take.

        Raises:
            InvalidRequest: One has a value that is none of its kind.
        """
        for name, kind in self.kinds.items():
            setattr(self, name, kind(name, getattr(self, name)))


def _wrong(name: str, expected: str, value: Any) -> InvalidRequest:
    # Arrays and tables are shown in several lines.
    shown = " ".join(repr(value).split())[:80]
    return InvalidRequest(
        f"{name}: expected {expected}, got {type(value).__name__} {shown}. Correct the argument."
    )


def is_nothing(value: Any) -> bool:
    """Whether a value is none, an empty text, or what a template makes of None."""
    return value is None or (isinstance(value, str) and value.strip() in _NOTHING)


def is_several(value: Any) -> bool:
    """Whether a value is a list, or what Airflow gives for the XComs of mapped tasks."""
    single = isinstance(value, str | bytes | bytearray | Mapping | os.PathLike | XComArg)
    return isinstance(value, Iterable) and not single and getattr(value, "shape", 1) != ()


def text(name: str, value: Any) -> str | None:
    """A text, a path, or a number as its digits; None for an empty one, and for a template of nothing."""
    value = _plain(value)
    if is_nothing(value):
        return None
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str) and len(path) <= _LONGEST_TEXT:
            return path
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise _wrong(name, f"a text of at most {_LONGEST_TEXT} characters", value)


def time(name: str, value: Any) -> str | None:
    """A time in ISO 8601, UTC, of a time or a day; a text as it is, for the request reads it."""
    try:
        if isinstance(value, datetime):
            zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
            return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError) as err:
        raise _wrong(name, "a time as 2026-01-31T00:00:00Z", value) from err
    return value.isoformat() if isinstance(value, date) else text(name, value)


def required(kind: Kind) -> Kind:
    """The same, but there has to be one."""

    def take(name: str, value: Any) -> Any:
        taken = kind(name, value)
        if taken is None or taken == []:
            raise InvalidRequest(
                f"{name}: expected a value, got none. Pass it; if it is another task's, look at what that"
                " task returned."
            )
        return taken

    return take


def integer(name: str, value: Any) -> int | None:
    """A whole number, also as text."""
    value = _plain(value)
    found = number(name, value, "a whole number")
    if found is not None and not (found.is_integer() and abs(found) < _TOO_LARGE):
        raise _wrong(name, "a whole number", value)
    # A float has not enough digits for a version.
    exact = isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())
    return None if found is None else int(value) if exact else int(found)


def number(name: str, value: Any, expected: str = "a number") -> float | None:
    """A number, also as text."""
    value = _plain(value)
    if is_nothing(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong(name, expected, value)
    try:
        found = float(value)
    except (ValueError, OverflowError) as err:
        raise _wrong(name, expected, value) from err
    if found != found or found in (float("inf"), float("-inf")):
        raise _wrong(name, expected, value)
    return found


def seconds(name: str, value: Any) -> float | None:
    """How long, in seconds, or as a `timedelta`."""
    return value.total_seconds() if isinstance(value, timedelta) else number(name, value, "seconds")


def version(name: str, value: Any) -> int | None:
    """A version; of the record of a push, or of the live pointer, the one that it names."""
    value = record(name, value) if isinstance(value, str | Mapping | Record) else value
    if isinstance(value, Mapping) and value.get("version") is None:
        raise _wrong(name, "a version, or a record that names one", value)
    return integer(name, value["version"] if isinstance(value, Mapping) else value)


def truth(name: str, value: Any) -> bool:
    """A truth value, also as text; false where there is none."""
    value = _plain(value)
    if is_nothing(value):
        return False
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in _TRUTHS:
        raise _wrong(name, "true or false", value)
    return _TRUTHS[word]


def record(name: str, value: Any) -> Mapping[str, Any] | str | None:
    """A record: as JSON, as the text that a template makes of it, as `Record`; or a path or a URI."""
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return value or None
    if isinstance(value, float):
        raise _wrong(name, "a record, a path or a URI", value)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        found = _read(name, value)
        if not isinstance(found, Mapping):
            raise _wrong(name, "a record, a path or a URI", value)
        return found or None
    try:
        return text(name, value)
    except InvalidRequest as err:
        raise _wrong(name, "a record, a path or a URI", value) from err


def records(name: str, value: Any) -> list[Mapping[str, Any] | str]:
    """Several of these; a single one is a list of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read(name, value)
    several = value if is_several(value) else [value]
    taken = [record(f"{name}[{place}]", one) for place, one in enumerate(several)]
    return [one for one in taken if one is not None]


def texts(name: str, value: Any) -> list[str]:
    """The texts of a list, or of text with one a line or, as the command line has it, a comma between.

    A comma parts two only where a name and `=` follow: reasons are prose, and have commas.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read(name, value)
    several = re.split(r"\n|,(?=\s*[\w-]+=)", value) if isinstance(value, str) else value
    several = () if several is None else several
    if not is_several(several):
        raise _wrong(name, "a list of texts", value)
    taken = [text(f"{name}[{place}]", one) for place, one in enumerate(several)]
    return [one.strip() for one in taken if one is not None]


def integers(name: str, value: Any) -> list[int]:
    """The whole numbers of a list, or of text with commas, spaces or line breaks between."""
    if isinstance(value, str):
        value = [one for one in re.split(r"[\s,;\[\]]+", value) if one not in _NOTHING]
    several = value if is_several(value) else [value]
    taken = [integer(f"{name}[{place}]", one) for place, one in enumerate(several)]
    return [one for one in taken if one is not None]


def mapping(name: str, value: Any) -> Mapping[str, Any] | None:
    """Names to values, also as the text that a template makes of them."""
    if is_nothing(value):
        return None
    value = _read(name, value) if isinstance(value, str) else value
    if isinstance(value, Record):
        return value.to_json()
    if not isinstance(value, Mapping):
        raise _wrong(name, "names with values", value)
    return value


def _plain(value: Any) -> Any:
    """A number of NumPy's, or a decimal, as Python's own."""
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    scalar = getattr(value, "shape", None) == () and hasattr(value, "item")
    return value.item() if scalar else value


def _read(name: str, value: str) -> Any:
    """What a text says: JSON, or Python's form, which a template makes of an XCom."""
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
