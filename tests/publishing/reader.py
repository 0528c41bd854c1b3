"""A server's way with a bucket: `python -m tests.publishing.reader SERVER PLACE INTERVAL OUTPUT`.

It follows TensorFlow Serving's rules: list the base path, take every child whose name is an
integer for a version, load the highest by the C++ loader, and do it again and again. What it
saw it prints, a JSON object a line. It ends when its standard input does. It knows nothing of
Redraw, imports no TensorFlow, and reads `saved_model.pb` first, as the loader does.

Source: tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc
"""

from __future__ import annotations

import json
import select
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.publishing.cpp_loader import CppLoader, NotLoaded

_GRAPH = "saved_model.pb"


class BasePath:
    """A model's base path in a bucket, by the service's JSON API."""

    def __init__(self, server: str, place: str) -> None:
        self._bucket, _, prefix = place.removeprefix("gs://").partition("/")
        self._prefix = f"{prefix}/"
        self._objects = f"{server}/storage/v1/b/{self._bucket}/o"

    def versions(self) -> list[int]:
        """The children that are integers."""
        names = self._pages(prefix=self._prefix, delimiter="/", kind="prefixes")
        children = (name.removeprefix(self._prefix).rstrip("/") for name in names)
        return sorted(int(child) for child in children if child.isdecimal())

    def copy(self, version: int, folder: Path) -> bool:
        """Copy a version as it is right now; False where it has no graph yet."""
        start = f"{self._prefix}{version}/"
        if not self._fetch(start + _GRAPH, folder / _GRAPH):
            return False
        for item in self._pages(prefix=start, kind="items"):
            name = item["name"].removeprefix(start)
            if name != _GRAPH:
                self._fetch(item["name"], folder / name)
        return True

    def _pages(self, kind: str, **query: str) -> list[Any]:
        found, more = [], {}
        while True:
            url = f"{self._objects}?{urllib.parse.urlencode(query | more)}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                page = json.load(answer)
            found += page.get(kind, [])
            if not page.get("nextPageToken"):
                return found
            more = {"pageToken": page["nextPageToken"]}

    def _fetch(self, name: str, path: Path) -> bool:
        url = f"{self._objects}/{urllib.parse.quote(name, safe='')}?alt=media"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                content = answer.read()
        except urllib.error.HTTPError as err:
            if err.code == 404:
                return False
            raise
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return True


def follow(base: BasePath, output: str, interval: float) -> None:
    """Load whatever comes, and say what it answers."""
    loader, loaded = CppLoader(), 0
    while True:
        ended, _, _ = select.select([sys.stdin], [], [], interval)
        highest = max(base.versions(), default=0)
        if highest != loaded:
            seen = _load(loader, base, highest, output)
            loaded = highest if "answer" in seen else 0
            sys.stdout.write(json.dumps(seen) + "\n")
            sys.stdout.flush()
        elif ended:
            return


def _load(loader: CppLoader, base: BasePath, version: int, output: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="redraw-reader-") as scratch:
        if not version or not base.copy(version, Path(scratch)):
            return {"version": version, "absent": True}
        try:
            return {"version": version, "answer": loader.ask(Path(scratch), output)}
        except NotLoaded as err:
            return {"version": version, "failed": str(err)}


if __name__ == "__main__":
    follow(BasePath(sys.argv[1], sys.argv[2]), sys.argv[4], float(sys.argv[3]))
