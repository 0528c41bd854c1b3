"""Every field of every record with values that it must not have."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redraw.errors import InvalidRecord
from redraw.records import Record
from tests.golden.records import RECORDS
from tests.hostile.case import Case

__all__ = ["CASES"]

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


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
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
            yield from _leaves(item, (*path, key))


def _changed(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(record)
    held = changed
    for key in path[:-1]:
        held = held[key]
    held[path[-1]] = value
    return changed


def _refuse(kind: type[Record], value: Any, what: str) -> None:
    """Demand one printable line; what is read all the same must be written as it was read."""
    try:
        read = kind.from_text(json.dumps(value), "a bucket")
    except InvalidRecord as err:
        assert str(err).isprintable(), what
        assert len(str(err)) < 700, what
        return
    raise AssertionError(f"{what} was read: {read!r:.200}")


def _by_key(record: Record) -> Case:
    def act(folder: Path) -> None:
        text = record.to_json()
        for path, _ in _leaves(text):
            for value in _BY_KEY.get(str(path[-1]), ()):
                _refuse(type(record), _changed(text, path, value), f"{path} = {value!r:.60}")
        raise InvalidRecord("all were refused")

    return Case(
        name=f"record-{type(record).__name__}-values", act=act, expected="InvalidRecord", says="^all were"
    )


def _types(record: Record) -> Case:
    """Every value with one of another type: refused, or read as what JSON says, never anything else."""

    def act(folder: Path) -> None:
        text = record.to_json()
        for path, item in _leaves(text):
            for value in _WRONG:
                if type(value) is type(item) or (isinstance(item, float) and isinstance(value, int)):
                    continue
                changed = _changed(text, path, value)
                try:
                    read = type(record).from_text(json.dumps(changed), "a bucket")
                except InvalidRecord as err:
                    assert str(err).isprintable() and len(str(err)) < 700
                else:
                    again = json.loads(json.dumps(read.to_json()))
                    assert value is None or _free(path) or re.sub("NaN", "", json.dumps(again)) != "", path
        raise InvalidRecord("all were refused")

    return Case(
        name=f"record-{type(record).__name__}-types", act=act, expected="InvalidRecord", says="^all were"
    )


def _free(path: tuple[Any, ...]) -> bool:
    return any(key in ("values", "label", "answer", "inputs") for key in path)


def _keys(record: Record) -> Case:
    """Each key left out, and one more: the keys of a form are known."""

    def act(folder: Path) -> None:
        text = record.to_json()
        _refuse(type(record), text | {"\x1b[2J": 1}, "one more key")
        _refuse(type(record), text | {"n" * 5000: 1}, "a long key")
        _refuse(type(record), text | {"record": "Other"}, "another kind")
        _refuse(type(record), text | {"record": ["\x1b"] * 10_000}, "a list of kinds")
        _refuse(type(record), text | {"schema": -1}, "a form below 0")
        _refuse(type(record), text | {"schema": "9" * 5000}, "a form that is no number")
        raise InvalidRecord("all were refused")

    return Case(
        name=f"record-{type(record).__name__}-keys", act=act, expected="InvalidRecord", says="^all were"
    )


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
    *(make(record) for record in RECORDS.values() for make in (_by_key, _types, _keys)),
    *(_text(name, content) for name, content in TEXTS.items()),
]
