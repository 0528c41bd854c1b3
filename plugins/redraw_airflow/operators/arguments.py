"""Operators' arguments in whatever form Airflow passes them: literal, rendered, native, or an XCom.

A template renders a record as text and a flag as `True`; with native rendering a text of digits becomes a
number, and an XCom that is not there becomes None. Each kind of argument takes all of these, and what it
cannot take is one error that names the argument.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

from redraw.errors import InvalidRequest
from redraw.records import Record

__all__ = [
    "Kind",
    "TakesArguments",
    "integer",
    "integers",
    "mapping",
    "number",
    "record",
    "records",
    "required",
    "text",
    "texts",
    "truth",
]

# Makes of an argument's name and value the value that a request takes.
Kind: TypeAlias = Callable[[str, Any], Any]

_NOTHING = {"", "None", "none", "null"}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# As long as a record may be.
_LONGEST = 2 << 20
_LONGEST_TEXT = 10_000


class TakesArguments:
    """An operator whose arguments are taken by kind, once they are rendered.

    Attributes:
        kinds: Argument to its kind.
    """

    kinds: ClassVar[Mapping[str, Kind]]

    def take_arguments(self) -> None:
        """Bring every argument into the form that requests take.

        Raises:
            InvalidRequest: One has a value that is none of its kind.
        """
        for name, kind in self.kinds.items():
            setattr(self, name, kind(name, getattr(self, name)))


def _wrong(name: str, expected: str, value: Any) -> InvalidRequest:
    return InvalidRequest(
        f"{name}: expected {expected}, got {type(value).__name__} {value!r:.80}. Correct the argument."
    )


def text(name: str, value: Any) -> str | None:
    """A text, a path, or a number as its digits; None for an empty one, and for a template of nothing."""
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
        return None
    if isinstance(value, str | os.PathLike) and len(os.fspath(value)) <= _LONGEST_TEXT:
        return os.fspath(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _wrong(name, f"a text of at most {_LONGEST_TEXT} characters", value)


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
    found = number(name, value, "a whole number")
    if found is not None and not found.is_integer():
        raise _wrong(name, "a whole number", value)
    # A float has not enough digits for a version.
    exact = isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())
    return None if found is None else int(value) if exact else int(found)


def number(name: str, value: Any, expected: str = "a number") -> float | None:
    """A number, also as text."""
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
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


def truth(name: str, value: Any) -> bool:
    """A truth value, also as text; false where there is none."""
    if value is None or (isinstance(value, str) and value.strip() in _NOTHING):
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
    """Several of these; one alone is a list of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read(name, value)
    several = value if _is_several(value) else [value]
    taken = [record(f"{name}[{place}]", one) for place, one in enumerate(several)]
    return [one for one in taken if one is not None]


def texts(name: str, value: Any) -> list[str]:
    """The texts of a list, or of text with one a line or, as the command line has it, a comma between.

    A comma parts two only where a name and `=` follow: reasons are prose, and have commas.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _read(name, value)
    several = re.split(r"\n|,(?=\s*[\w-]+=)", value) if isinstance(value, str) else value or ()
    if not _is_several(several):
        raise _wrong(name, "a list of texts", value)
    taken = [text(f"{name}[{place}]", one) for place, one in enumerate(several)]
    return [one.strip() for one in taken if one is not None]


def integers(name: str, value: Any) -> list[int]:
    """The whole numbers of a list, or of text with commas, spaces or line breaks between."""
    if isinstance(value, str):
        value = [one for one in re.split(r"[\s,;\[\]]+", value) if one not in _NOTHING]
    several = value if _is_several(value) else [value]
    taken = [integer(f"{name}[{place}]", one) for place, one in enumerate(several)]
    return [one for one in taken if one is not None]


def mapping(name: str, value: Any) -> Mapping[str, Any] | None:
    """Names to values, also as the text that a template makes of them."""
    if isinstance(value, str) and value.strip() not in _NOTHING:
        value = _read(name, value)
    if value is None or isinstance(value, str):
        return None
    if not isinstance(value, Mapping):
        raise _wrong(name, "names with values", value)
    return value


def _is_several(value: Any) -> bool:
    """Whether a value is a list, or what Airflow gives for the XComs of mapped tasks."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | os.PathLike)


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
