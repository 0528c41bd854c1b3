"""Every field of every record with values that it must not have."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redraw.errors import InvalidRecord
from redraw.records import Record
from redraw.records.failure import StageFailure
from tests.golden.records import RECORDS
from tests.hostile.case import FINE, Case

__all__ = ["CASES", "TEXTS", "leaves", "replaced"]

_WRONG: tuple[Any, ...] = (None, True, [], {}, [[]], {"a": 1}, 1.5, -1, 10**30, "x" * 300_000, float("nan"))
_LEADING_ELSEWHERE = ("", "..", "../../outside", "/etc", "a" * 63 + "/", "A" * 64, "a\0b", "٣" * 64)
_HEX = ("digest", "sha256", "report_digest", "definition_digest", "checkpoint_digest")
_TIMES = ("trained_at", "pushed_at", "validated_at", "exported_at", "changed_at", "pruned_at")
_NUMBERS = (
    "version",
    "previous",
    "live",
    "size",
    "size_bytes",
    "step",
    "crc32c",
    "served",
    "known",
    "shards",
    "bytes",
)
# Values of requests and answers have no type of their own.
_FREE = ("values", "label", "answer", "inputs", "example", "examples", "classes")
# Values by the name of the key that must not have them.
_BY_KEY: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(_HEX, _LEADING_ELSEWHERE),
    **dict.fromkeys(
        _TIMES,
        (
            "",
            "now",
            "2026-01-02",
            "10000-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-02T03:04:05+00:00",
            "٢٠٢٦-01-02T03:04:05Z",
        ),
    ),  # fmt: skip
    **dict.fromkeys(_NUMBERS, (-1, 1 << 63, "1", 1.0, True)),
    "model": ("", "..", "../x", "a/b", "A", "a" * 64, "a\0"),
    "seconds": (-1.0, float("nan"), float("inf"), 10**400),
    "prefix": ("../weights", "a/b", "/etc/passwd", "a\0", "a\n"),
    "git_revision": ("HEAD", "../..", "a" * 41),
    "shape": ([-1], [1] * 300, [1 << 40, 1 << 40], ["1"], [True], [1.5]),
    "pruning": ([-1], [0], ["1"], [1 << 70]),
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value in a record's JSON that is not the record's kind or the number of its form."""
    items: Iterator[tuple[Any, Any]]
    items = (
        iter(value.items())
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else iter(())
    )
    for key, item in items:
        if key not in ("record", "schema"):
            yield (*path, key), item
            yield from leaves(item, (*path, key))


def replaced(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The same with another value at a place."""
    changed = copy.deepcopy(record)
    held = changed
    for key in path[:-1]:
        held = held[key]
    held[path[-1]] = value
    return changed


def _message(kind: type[Record], value: Any) -> str:
    """Why JSON is refused, in one printable line; empty if it is read."""
    try:
        kind.from_text(json.dumps(value), "a bucket")
    except InvalidRecord as err:
        return str(err)
    return ""


def _refuse(kind: type[Record], value: Any, what: str) -> None:
    message = _message(kind, value)
    assert message, f"{what} was read"
    assert message.isprintable(), what
    assert len(message) < 700, what


def _case(record: Record, kind: str, act: Callable[[type[Record], Any], object]) -> Case:
    def run(folder: Path) -> None:
        act(type(record), record.to_json())

    return Case(name=f"record-{type(record).__name__}-{kind}", act=run, expected=FINE)


def _values(kind: type[Record], text: Any) -> None:
    """Every value that its key must not have."""
    for path, _ in leaves(text):
        # Of a failure the model is what was asked for, whatever that is.
        free = kind is StageFailure and path == ("model",)
        for value in () if free else _BY_KEY.get(str(path[-1]), ()):
            _refuse(kind, replaced(text, path, value), f"{path} = {value!r:.60}")


def _types(kind: type[Record], text: Any) -> None:
    """Every value with one of another type: refused in one line, or read as that, and never anything else."""
    for path, item in leaves(text):
        for value in _WRONG:
            message = _message(kind, replaced(text, path, value))
            assert message.isprintable(), path
            assert len(message) < 700, path
            # What has no type of its own, and what may be left out, takes more.
            free = any(key in _FREE for key in path) or value is None or item is None
            assert message or free or type(value) is type(item) or isinstance(item, float), path


def _keys(kind: type[Record], text: Any) -> None:
    """Keys that a form does not know, another kind, and forms that there are not."""
    _refuse(kind, text | {"\x1b[2J": 1}, "one more key")
    _refuse(kind, text | {"n" * 5000: 1}, "a long key")
    _refuse(kind, text | {"record": "Other"}, "another kind")
    _refuse(kind, text | {"record": ["\x1b"] * 10_000}, "a list of kinds")
    _refuse(kind, text | {"schema": -1}, "a form below 0")
    _refuse(kind, text | {"schema": "9" * 5000}, "a form that is no number")


def _text(name: str, content: bytes, says: str = "") -> Case:
    def act(folder: Path) -> None:
        type(RECORDS["Release"]).from_text(content, "gs://bucket/x.json")

    return Case(name=f"record-text-{name}", act=act, expected="InvalidRecord", says=says)


TEXTS = {
    "empty": b"",
    "no-json": b"{",
    "no-utf-8": b'{"record": "\xff\xfe"}',
    "a-number": b"1",
    "a-list": b"[]",
    "null": b"null",
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "deep-objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deeper-than-any": b'{"record": "Release", "a": ' + b"[" * 150 + b"]" * 150 + b"}",
    "3-MB": b'{"record": "Release", "a": "' + b"x" * (3 << 20) + b'"}',
    "huge-number": b'{"record": "Release", "version": ' + b"9" * 50_000 + b"}",
    "infinite": b'{"record": "Release", "schema": 1e999}',
    "not-a-number": b'{"record": "Release", "schema": NaN}',
    "unclosed-strings": b'"' + b'\\"' * 500_000,
    "escapes": b'{"record": "\\u001b[2J"}',
    "surrogates": b'{"record": "\\ud800"}',
}
CASES = [
    *(_case(record, "values", _values) for record in RECORDS.values()),
    *(_case(record, "types", _types) for record in RECORDS.values()),
    *(_case(record, "keys", _keys) for record in RECORDS.values()),
    *(_text(name, content) for name, content in TEXTS.items()),
]
