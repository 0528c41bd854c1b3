"""The HTTP side: the requests and their answers.

Source: https://cloud.google.com/storage/docs/json_api/v1
"""

from __future__ import annotations

import base64
import re
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redraw_airflow.standalone.storage_server.batches import encode_answers, read_deletions
from redraw_airflow.standalone.storage_server.bodies import BadBody, Body, checksum_text, read_properties
from redraw_airflow.standalone.storage_server.connection import (
    IDLE_SECONDS,
    Connection,
    GuardedServer,
    Refused,
)
from redraw_airflow.standalone.storage_server.objects import (
    ObjectRow,
    Objects,
    OtherGeneration,
    describe_bucket,
    describe_object,
    is_safe_name,
)

_MOST_LISTED = 1000
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


class StorageServer(GuardedServer):
    """Serves the objects below a folder.

    Args:
        address: Host and port to listen on.
        root: The folder.
        token: The token that each request has to carry, in the header `Authorization: Bearer`.
        hosts: The names, with the port, that requests may be addressed to.
    """

    def __init__(self, address: tuple[str, int], root: Path, token: str, hosts: frozenset[str]) -> None:
        self.objects = Objects(root)
        super().__init__(address, _Handler, token, hosts)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error, unless the client has just disconnected."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(Connection):
    server: StorageServer

    def answer(self, body: Body) -> None:
        """Answer the current request by its method and path.

        Raises:
            Refused: The server does not answer such a request.
            BadBody: The body is malformed.
            OtherGeneration: The object has changed.
        """
        match (self.command, *self._parts(self.path)):
            case "POST" | "PUT", "upload", "storage", "v1", "b", bucket, "o":
                self._upload(bucket, body)
            case "POST", "storage", "v1", "b":
                self._make_bucket(body)
            case "POST", "batch", "storage", "v1":
                self._batch(body)
            case "GET", "storage", "v1", "b":
                buckets = map(describe_bucket, self.server.objects.buckets())
                self.say({"kind": "storage#buckets", "items": list(buckets)})
            case "GET", "storage", "v1", "b", bucket:
                self.say(describe_bucket(self._existing(bucket)))
            case "GET", "storage", "v1", "b", bucket, "o":
                self._list(self._existing(bucket))
            case ("GET", "storage", "v1", "b", bucket, "o", name) | (
                "GET",
                "download",
                "storage",
                "v1",
                "b",
                bucket,
                "o",
                name,
            ):
                self._get(self._place(bucket, name))
            case "DELETE", "storage", "v1", "b", bucket, "o", name:
                self._delete(self._place(bucket, name))
                self.say(None, HTTPStatus.NO_CONTENT)
            case "POST", "storage", "v1", "b", bucket, "o", name, "rewriteTo", "b", target, "o", new_name:
                self._copy(self._place(bucket, name), (target, new_name), body)
            case _:
                raise Refused(HTTPStatus.NOT_IMPLEMENTED, "expected a call that this server offers")

    def _parts(self, target: str) -> list[str]:
        """The path's parts; the query is stored in `_query`."""
        url = urlsplit(target)
        self._query = {key: values[-1] for key, values in parse_qs(url.query, errors="strict").items()}
        return [unquote(part, errors="strict") for part in url.path.split("/")[1:]]

    def _make_bucket(self, body: Body) -> None:
        name = body.read_json().get("name")
        if not isinstance(name, str) or not _BUCKET.fullmatch(name):
            raise Refused(HTTPStatus.BAD_REQUEST, "expected a bucket's name")
        if not self.server.objects.make_bucket(name):
            raise Refused(HTTPStatus.CONFLICT, f"{name} already exists")
        self.say(describe_bucket(name))

    def _existing(self, bucket: str) -> str:
        if bucket not in self.server.objects.buckets():
            raise Refused(HTTPStatus.NOT_FOUND, "The specified bucket does not exist.")
        return bucket

    def _place(self, bucket: str, name: str) -> tuple[str, str]:
        if not is_safe_name(name):
            raise Refused(
                HTTPStatus.BAD_REQUEST,
                "expected an object's name of at most 1024 bytes without '..', '//' and control characters",
            )
        return self._existing(bucket), name

    def _number(self, key: str) -> int | None:
        text = self._query.get(key)
        if text is not None and not re.fullmatch(r"[0-9]{1,19}", text):
            raise Refused(HTTPStatus.BAD_REQUEST, f"{key}: expected a number")
        return None if text is None else int(text)

    def _delete(self, place: tuple[str, str]) -> None:
        generation, match = self._number("generation"), self._number("ifGenerationMatch")
        if not self.server.objects.delete(place, generation, match):
            raise _no_object()

    def _batch(self, body: Body) -> None:
        """Run many deletions of one request, each like a request of its own."""
        deletions = read_deletions(self.headers.get("Content-Type", ""), body.read_small())
        kind, content = encode_answers([(number, *self._deleted(target)) for number, target in deletions])
        self.send_content(content, HTTPStatus.OK, kind)

    def _deleted(self, target: str) -> tuple[HTTPStatus, str]:
        try:
            match self._parts(target):
                case "storage", "v1", "b", bucket, "o", name:
                    self._delete(self._place(bucket, name))
                    return HTTPStatus.NO_CONTENT, ""
        except Refused as err:
            return err.status, str(err)
        except OtherGeneration as err:
            return HTTPStatus.PRECONDITION_FAILED, str(err)
        return HTTPStatus.NOT_IMPLEMENTED, "expected the deletion of an object"

    def _list(self, bucket: str) -> None:
        try:
            after = base64.urlsafe_b64decode(self._query.get("pageToken", "")).decode()
        except ValueError as err:
            raise Refused(HTTPStatus.BAD_REQUEST, "pageToken: expected a token of this server") from err
        limit = min(self._number("maxResults") or _MOST_LISTED, _MOST_LISTED)
        page = self.server.objects.page(
            bucket, self._query.get("prefix", ""), self._query.get("delimiter", ""), after, limit
        )
        listed: dict[str, Any] = {"kind": "storage#objects", "items": list(map(describe_object, page.rows))}
        if page.prefixes:
            listed["prefixes"] = page.prefixes
        if page.after is not None:
            listed["nextPageToken"] = base64.urlsafe_b64encode(page.after.encode()).decode()
        self.say(listed)

    def _get(self, place: tuple[str, str]) -> None:
        generation = self._number("generation")
        if self._query.get("alt") != "media":
            row = self.server.objects.find(place, generation)
            if row is None:
                raise _no_object()
            self.say(describe_object(row))
            return
        opened = self.server.objects.open(place, generation)
        if opened is None:
            raise _no_object()
        row, content = opened
        with content:
            start, end = self._range(row.size)
            self._send_head(row, start, end)
            if end > start:
                # Without a timeout, this is one system call instead of one for each free buffer.
                self.connection.settimeout(None)
                self.connection.sendfile(content, start, end - start)
                self.connection.settimeout(IDLE_SECONDS)

    def _range(self, size: int) -> tuple[int, int]:
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or match[0] == "bytes=-":
            return 0, size
        start, end = match.groups()
        if not start:
            return max(0, size - int(end)), size
        if int(start) >= size:
            raise Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "expected a range within the object")
        return int(start), min(size, int(end) + 1) if end else size

    def _send_head(self, row: ObjectRow, start: int, end: int) -> None:
        part = "Range" in self.headers
        self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{row.size}")
        for key, header in (("contentEncoding", "Content-Encoding"), ("cacheControl", "Cache-Control")):
            if key in row.properties:
                self.send_header(header, re.sub("[^ -~]", "", str(row.properties[key])))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Goog-Hash", f"crc32c={row.crc32c}")
        self.send_header("X-Goog-Generation", str(row.generation))
        self.send_header("Content-Length", str(end - start))
        self.end_headers()

    def _copy(self, source: tuple[str, str], target: tuple[str, str], body: Body) -> None:
        place = self._place(*target)
        properties = read_properties(body.read_json())
        with self.server.objects.incoming() as path:
            copied = self.server.objects.link(source, self._number("sourceGeneration"), path)
            if copied is None:
                raise _no_object()
            row = self.server.objects.put(
                place,
                path,
                copied.crc32c,
                properties or copied.properties,
                self._number("ifGenerationMatch"),
            )
        size = str(row.size)
        self.say(
            {"done": True, "objectSize": size, "totalBytesRewritten": size, "resource": describe_object(row)}
        )

    def _upload(self, bucket: str, body: Body) -> None:
        with self.server.objects.incoming() as path:
            match self._query.get("uploadType"):
                case "multipart":
                    metadata, crc32c = body.save_multipart(self.headers.get("Content-Type", ""), path)
                case "media":
                    metadata, crc32c = {"contentType": self.headers.get("Content-Type")}, body.save(path)
                case other:
                    raise Refused(
                        HTTPStatus.NOT_IMPLEMENTED, f"uploadType: expected multipart or media, got {other}"
                    )
            place = self._place(bucket, str(metadata.get("name") or self._query.get("name", "")))
            checksum = checksum_text(crc32c)
            declared = metadata.get("crc32c") or _declared(self.headers.get("X-Goog-Hash", "")) or checksum
            if declared != checksum:
                raise BadBody(f"expected content with the crc32c {declared}, got {checksum}")
            match_generation = self._number("ifGenerationMatch")
            properties = read_properties(metadata)
            self.say(
                describe_object(self.server.objects.put(place, path, checksum, properties, match_generation))
            )


def _no_object() -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "No such object")


def _declared(hashes: str) -> str:
    """The crc32c in a header such as `crc32c=AAAAAA==,md5=…`; empty if it has none."""
    pairs = (part.strip().partition("=") for part in hashes.split(","))
    return next((value for name, _, value in pairs if name == "crc32c"), "")
