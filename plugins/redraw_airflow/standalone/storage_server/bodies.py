"""The contents of uploads, read as they arrive: a file, its checksum, and its metadata."""

from __future__ import annotations

import base64
import json
import re
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import google_crc32c

_BLOCK = 1 << 20
_MOST_METADATA = 1 << 20
_BOUNDARY = re.compile(r'boundary="?([^";, ]{1,70})"?', re.IGNORECASE)
_PROPERTIES = ("contentType", "contentEncoding", "cacheControl", "metadata")


class BadBody(Exception):  # noqa: N818 - an answer to the client
    """The body does not match its headers."""


def checksum_text(crc32c: int) -> str:
    """A checksum in the API's form."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def read_properties(metadata: dict[str, Any]) -> dict[str, Any]:
    """The part of an upload's metadata that is stored."""
    return {key: metadata[key] for key in _PROPERTIES if key in metadata}


class Body:
    """The body of one request, read up to its declared length.

    Args:
        stream: The client's stream.
        size: Its length in bytes.
    """

    def __init__(self, stream: BufferedIOBase, size: int) -> None:
        self._stream, self.unread = stream, size

    def read_json(self) -> dict[str, Any]:
        """The whole body as a JSON object; an empty body is an empty object."""
        return _parse_object(self.read_small())

    def read_small(self) -> bytes:
        """The whole body, which has to be small."""
        if self.unread > _MOST_METADATA:
            raise BadBody(f"expected at most {_MOST_METADATA} bytes, got {self.unread}")
        return self._read(self.unread)

    def save(self, path: Path, crc32c: int = 0) -> int:
        """Append the body to a file whose crc32c so far is given; returns the file's new crc32c."""
        with path.open("ab") as file:
            while self.unread:
                block = self._read(min(self.unread, _BLOCK))
                file.write(block)
                crc32c = google_crc32c.extend(crc32c, block)
        return crc32c

    def save_multipart(self, content_type: str, path: Path) -> tuple[dict[str, Any], int]:
        """Read `multipart/related`: the object's metadata, then its content, which is saved to a file.

        Returns:
            The metadata, and the crc32c of the content.
        """
        boundary = _BOUNDARY.search(content_type)
        if boundary is None:
            raise BadBody("expected multipart/related with a boundary")
        mark = f"--{boundary[1]}".encode()
        self._skip_to(mark)
        self._headers()
        metadata = _parse_object(self._skip_to(mark))
        headers = self._headers()
        if "content-type" in headers:
            metadata.setdefault("contentType", headers["content-type"])
        tail = b"\r\n" + mark + b"--"
        # Some clients end the body with a line break, some do not.
        tail_size = min(self.unread, len(tail) + 2)
        end = Body(self._stream, tail_size)
        self.unread -= tail_size
        crc32c = self.save(path)
        ending = end._read(tail_size)
        content = ending.removesuffix(b"\r\n").removesuffix(tail)
        if len(ending.removesuffix(b"\r\n")) - len(content) != len(tail):
            raise BadBody("expected the body to end with its boundary")
        with path.open("ab") as file:
            file.write(content)
        return metadata, google_crc32c.extend(crc32c, content)

    def _headers(self) -> dict[str, str]:
        headers = {}
        while line := self._line().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _skip_to(self, mark: bytes) -> bytes:
        lines = bytearray()
        while (line := self._line()).rstrip() != mark:
            lines += line
            if len(lines) > _MOST_METADATA:
                raise BadBody(f"expected at most {_MOST_METADATA} bytes of metadata")
        return bytes(lines)

    def _line(self) -> bytes:
        line = self._stream.readline(min(self.unread, _MOST_METADATA))
        if not line.endswith(b"\n"):
            raise BadBody("expected a line of a multipart body")
        self.unread -= len(line)
        return line

    def _read(self, size: int) -> bytes:
        block = self._stream.read(size)
        if len(block) != size:
            raise ConnectionResetError("the client went away")
        self.unread -= size
        return block


def _parse_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except (ValueError, RecursionError) as err:
        raise BadBody(f"expected a JSON object, got {err}") from err
    if not isinstance(value, dict):
        raise BadBody("expected a JSON object")
    return value
