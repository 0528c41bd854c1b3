"""Buckets and objects on disk: descriptions in SQLite, contents in files.

The file of a content is named by the object's generation, so an object's name never becomes part of a path.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

_MOST_NAME = 1024  # bytes, the limit of Cloud Storage
_LAST = "\U0010ffff"
_COLUMNS = "bucket, name, generation, size, crc32c, created, properties"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, name TEXT, generation INTEGER UNIQUE, size INTEGER, crc32c TEXT, created REAL,
    properties TEXT,
    PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
"""


class OtherGeneration(Exception):  # noqa: N818 - an answer to the caller
    """The object has another generation than a precondition names."""


@dataclass(frozen=True, kw_only=True)
class ObjectRow:
    """An object.

    Attributes:
        bucket: Its bucket.
        name: Its name.
        generation: A new number each time it is written.
        size: In bytes.
        crc32c: In base64, the API's form.
        created: Seconds since 1970.
        properties: Its metadata, such as `contentType`.
    """

    bucket: str
    name: str
    generation: int
    size: int
    crc32c: str
    created: float
    properties: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A page of a listing; `after` is where the next page begins, None on the last page."""

    rows: tuple[ObjectRow, ...]
    prefixes: tuple[str, ...]
    after: str | None


def is_safe_name(name: str) -> bool:
    """Whether an object may have this name: one that no program can confuse with another path."""
    parts = name.split("/")
    return (
        0 < len(name.encode(errors="replace")) <= _MOST_NAME
        and not {".", ".."} & set(parts)
        and "" not in parts[:-1]  # a slash at the end marks an empty folder
        and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
    )


class Objects:
    """All buckets below one folder; threads may share it, processes may not."""

    def __init__(self, root: Path) -> None:
        self._contents = root / "contents"
        self._contents.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(root / "objects.db", check_same_thread=False, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        generations = {str(number) for (number,) in self._database.execute("SELECT generation FROM objects")}
        self._newest = max(map(int, generations), default=0)
        for path in self._contents.iterdir():
            if path.name not in generations:  # an upload that was interrupted
                path.unlink()

    def make_bucket(self, name: str) -> bool:
        """Make a bucket; False if it exists."""
        with self._lock:
            return self._database.execute("INSERT OR IGNORE INTO buckets VALUES (?)", (name,)).rowcount == 1

    def buckets(self) -> list[str]:
        """The buckets' names."""
        with self._lock:
            return [name for (name,) in self._database.execute("SELECT name FROM buckets ORDER BY name")]

    def find(self, place: tuple[str, str], generation: int | None = None) -> ObjectRow | None:
        """The object at a bucket and name, or None; with a generation, only if the object has it."""
        with self._lock:
            return self._find(place, generation)

    def open(
        self, place: tuple[str, str], generation: int | None = None
    ) -> tuple[ObjectRow, BinaryIO] | None:
        """`find` an object, and open its content; a change at the same time removes no opened content."""
        with self._lock:
            row = self._find(place, generation)
            return None if row is None else (row, (self._contents / str(row.generation)).open("rb"))

    def link(self, place: tuple[str, str], generation: int | None, path: Path) -> ObjectRow | None:
        """`find` an object, and link its content to `path`."""
        with self._lock:
            row = self._find(place, generation)
            if row is not None:
                os.link(self._contents / str(row.generation), path)
            return row

    def _find(self, place: tuple[str, str], generation: int | None) -> ObjectRow | None:
        query = f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND name = ?"  # noqa: S608 - constants
        row = self._database.execute(query, place).fetchone()
        return None if row is None or generation not in (None, row[2]) else _object_row(row)

    def page(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
        """A page of the objects whose names start with `prefix`, in the order of their names.

        Args:
            bucket: The bucket's name.
            prefix: The start of the names.
            delimiter: Names that have it after the prefix are listed as one prefix up to its end; empty:
                none.
            after: The last name of the previous page; empty for the first page.
            limit: The most entries.
        """
        rows: list[ObjectRow] = []
        prefixes: list[str] = []
        batch = limit
        while (room := limit - len(rows) - len(prefixes)) > 0:
            # Rows below a listed prefix are skipped, so the query after one reads few rows, then more.
            size = min(room, batch)
            candidates = self._rows(bucket, prefix, after, size)
            for row in candidates:
                end = row.name.find(delimiter, len(prefix)) if delimiter else -1
                if end >= 0:
                    prefixes.append(row.name[: end + len(delimiter)])
                    after, batch = prefixes[-1] + _LAST, 1
                    break
                rows.append(row)
                after = row.name
            else:
                batch *= 2
                if len(candidates) < size:
                    return Listing(rows=tuple(rows), prefixes=tuple(prefixes), after=None)
        return Listing(rows=tuple(rows), prefixes=tuple(prefixes), after=after)

    def _rows(self, bucket: str, prefix: str, after: str, limit: int) -> list[ObjectRow]:
        query = (
            f"SELECT {_COLUMNS} FROM objects WHERE bucket = ? AND name >= ? AND name > ? AND name < ?"  # noqa: S608
            " ORDER BY name LIMIT ?"
        )
        with self._lock:
            values = (bucket, prefix, after, prefix + _LAST, limit)
            return [_object_row(row) for row in self._database.execute(query, values)]

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A file for a content before it is put; it is removed afterwards if it was not put."""
        path = self._contents / f"incoming-{os.urandom(8).hex()}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def put(
        self,
        place: tuple[str, str],
        content: Path,
        crc32c: str,
        properties: Mapping[str, Any],
        match: int | None,
    ) -> ObjectRow:
        """Make an incoming file the object's content.

        Args:
            place: Bucket and name.
            content: The file; it is moved.
            crc32c: The content's crc32c, in base64.
            properties: The metadata to store with it.
            match: The generation to replace, 0 for no object; None for any.

        Raises:
            OtherGeneration: The object has another generation.
        """
        size = content.stat().st_size
        with self._lock:
            old = self._find(place, None)
            _demand_generation(old.generation if old else 0, match)
            self._newest = max(self._newest + 1, time.time_ns() // 1000)
            properties_text = json.dumps(dict(properties), allow_nan=False)
            values = (*place, self._newest, size, crc32c, time.time(), properties_text)
            content.rename(self._contents / str(self._newest))
            self._database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            if old:
                self._remove_content(old.generation)
        return _object_row(values)

    def delete(self, place: tuple[str, str], generation: int | None, match: int | None) -> bool:
        """Remove the object that `find` finds; False if there is none.

        `match` and errors are those of `put`.
        """
        with self._lock:
            row = self._find(place, generation)
            if row is None:
                return False
            _demand_generation(row.generation, match)
            self._database.execute("DELETE FROM objects WHERE bucket = ? AND name = ?", place)
            self._remove_content(row.generation)
            return True

    def _remove_content(self, generation: int) -> None:
        (self._contents / str(generation)).unlink(missing_ok=True)


def _demand_generation(generation: int, match: int | None) -> None:
    if match not in (None, generation):
        raise OtherGeneration(f"expected generation {match}, got {generation}")


def describe_bucket(name: str) -> dict[str, str]:
    """A bucket in the API's form."""
    return {"kind": "storage#bucket", "id": name, "name": name, "location": "LOCAL"}


def describe_object(row: ObjectRow) -> dict[str, Any]:
    """An object in the API's form."""
    created = datetime.fromtimestamp(row.created, UTC).isoformat(timespec="milliseconds")
    return {
        "kind": "storage#object",
        "id": f"{row.bucket}/{row.name}/{row.generation}",
        "name": row.name,
        "bucket": row.bucket,
        "generation": str(row.generation),
        "metageneration": "1",
        "size": str(row.size),
        "crc32c": row.crc32c,
        "storageClass": "STANDARD",
        "timeCreated": created.replace("+00:00", "Z"),
        "updated": created.replace("+00:00", "Z"),
        **row.properties,
    }


def _object_row(row: tuple[Any, ...]) -> ObjectRow:
    bucket, name, generation, size, crc32c, created, properties = row
    return ObjectRow(
        bucket=bucket,
        name=name,
        generation=generation,
        size=size,
        crc32c=crc32c,
        created=created,
        properties=json.loads(properties),
    )
