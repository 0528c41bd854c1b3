"""Dataclasses to JSON and back, strict about keys and types; standard library only.

A field may have `metadata={"key": "from"}` if its JSON key is no Python name.

No library does this: importing pydantic takes longer than a whole command such as `redraw releases --help`,
and it refuses names that are not UTF-8, which files may have. The messages of msgspec name neither the
received value nor the key within a mapping.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin

from redraw.errors import InvalidRecord

T = TypeVar("T")

# Limits of values whose form sets no other: characters, items, and a signed number's bits.
_LONGEST_TEXT, _LONGEST_KEY, _MOST_ITEMS, _MOST_BITS = 1 << 18, 1 << 14, 1_000_000, 63


class JsonMismatch(ValueError):
    """A JSON value is not what the dataclass declares; the message names the key."""


def json_key(declared: Field[Any]) -> str:
    """The key that a field has in JSON."""
    return str(declared.metadata.get("key", declared.name))


class _Key(NamedTuple):
    """A field in JSON: its name in Python, its type, and the class that parses its names or URIs.

    A field that only commands print is left out if it is empty: no stored record has it.
    """

    name: str
    hint: Any
    required: bool
    parse: type[str] | None
    printed: bool


@cache
def _keys(cls: Any) -> dict[str, _Key]:
    """JSON key to field; computed once for each class, because that takes longer than decoding a record."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        json_key(f): _Key(
            name=f.name,
            hint=hints[f.name],
            required=f.default is MISSING and f.default_factory is MISSING,
            parse=_parsed_type(hints[f.name]),
            printed=bool(f.metadata.get("printed")),
        )
        for f in fields(cls)
    }


def encode_dataclass(value: Any) -> dict[str, Any]:
    """A dataclass instance as JSON values; records in it keep their `record` key."""
    return {
        key: _encode(content)
        for key, field in _keys(value.__class__).items()
        if (content := getattr(value, field.name)) or not field.printed
    }


def decode_dataclass(cls: type[T], value: Mapping[str, Any]) -> T:
    """Build `cls` from a JSON object.

    Args:
        cls: A dataclass.
        value: The JSON object.

    Raises:
        JsonMismatch: A key is missing or unknown, or a value has a wrong type.
    """
    _expect(isinstance(value, Mapping), value, "", f"a {cls.__name__}")
    keys = _keys(cast(Any, cls))
    if unknown := sorted(set(value) - set(keys), key=str):
        raise JsonMismatch(f"unknown key {shorten(unknown[0])}; expected {_join(keys)}")
    arguments = {}
    for key, field in keys.items():
        if key in value:
            arguments[field.name] = _decode(field.hint, value[key], key)
        elif field.required:
            raise JsonMismatch(f"key {key!r} is missing; expected {_join(keys)}")
    return cls(**arguments)


def parse_names(value: Any) -> None:
    """Parse the names and URIs that a frozen dataclass declares, while an instance is made.

    So they are parsed when they arrive, from JSON or from a caller, and not again later.

    Raises:
        InvalidName: A name has a form that could lead somewhere else.
    """
    for field in _keys(value.__class__).values():
        if field.parse is not None:
            parsed = _parsed(field.parse, getattr(value, field.name))
            # The only way to set a field of a frozen dataclass while it is made.
            object.__setattr__(value, field.name, parsed)


def _parsed(parse: type[str], value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_parsed(parse, item) for item in value)
    return parse(value) if isinstance(value, str) else value


def _parsed_type(hint: Any) -> type[str] | None:
    if get_origin(hint) is Annotated:
        return None
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return next(filter(None, map(_parsed_type, get_args(hint))), None)
    return hint if isinstance(hint, type) and issubclass(hint, str) and hint is not str else None


def _join(keys: Mapping[str, Any]) -> str:
    return ", ".join(keys)


def _encode(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return encode_dataclass(value)
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    # A name or a URI is stored as plain text.
    return str(value) if isinstance(value, str) else value


def _decode(hint: Any, value: Any, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        decoded = _decode(arguments[0], value, key)
        return _expect(arguments[1].fits(decoded), decoded, key, arguments[1].expected)
    if origin in (Union, types.UnionType):
        return _decode_union(arguments, value, key)
    if origin is Literal:
        return _expect(value in arguments, value, key, "one of " + _join(dict.fromkeys(arguments)))
    if origin is tuple:
        _expect(isinstance(value, list), value, key, "a list")
        _expect(len(value) <= _MOST_ITEMS, len(value), key, f"at most {_MOST_ITEMS} items")
        return tuple(_decode(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is not None:
        _expect(isinstance(value, Mapping), value, key, "an object")
        _expect(len(value) <= _MOST_ITEMS, len(value), key, f"at most {_MOST_ITEMS} items")
        return {
            _decode_key(arguments[0], name, key): _decode(arguments[1], item, f"{key}.{name}")
            for name, item in value.items()
        }
    if is_dataclass(hint):
        return _decode_inner(hint, value, key)
    return _decode_scalar(hint, value, key)


def _decode_union(members: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None and type(None) in members:
        return None
    concrete = [member for member in members if member is not type(None)]
    structured = isinstance(value, Mapping)
    fitting = [m for m in concrete if is_dataclass(m) == structured] or concrete
    return _decode(fitting[0], value, key)


def _decode_inner(cls: Any, value: Any, key: str) -> Any:
    _expect(isinstance(value, Mapping), value, key, f"a {cls.__name__}")
    try:
        return cls.from_json(value) if hasattr(cls, "from_json") else decode_dataclass(cls, value)
    except (JsonMismatch, InvalidRecord) as err:
        raise type(err)(f"{key}: {err}") from err


def _decode_key(hint: Any, name: Any, key: str) -> Any:
    _expect(isinstance(name, str) and len(name) <= _LONGEST_KEY, name, key, "short strings as keys")
    return _decode(hint, name, f"{key} (a key)")


def _decode_scalar(hint: Any, value: Any, key: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        _expect(value.bit_length() <= _MOST_BITS, value, key, f"a number of at most {_MOST_BITS} bits")
        if hint is float:
            return float(value)
    kind = str if issubclass(hint, str) else hint
    fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    _expect(fits, value, key, f"a value of type {kind.__name__}")
    if kind is str:
        _expect(len(value) <= _LONGEST_TEXT, value, key, f"at most {_LONGEST_TEXT} characters")
        return hint(value)
    return value


def _expect(fits: object, value: Any, key: str, expected: str) -> Any:
    if not fits:
        where = f"key {_shortened(key)!r}: " if key else ""
        raise JsonMismatch(f"{where}expected {expected}, got {shorten(value)}")
    return value


def shorten(value: object) -> str:
    """A value for a message, on one line; a long one is cut."""
    # Python itself refuses to format a huge number.
    text = "a huge number" if isinstance(value, int) and value.bit_length() > 1024 else repr(value)
    return _shortened(text)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
