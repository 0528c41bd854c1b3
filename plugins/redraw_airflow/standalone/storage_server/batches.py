"""Batches: many deletions in one request.

Source: https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from http import HTTPStatus

from redraw_airflow.standalone.storage_server.bodies import BadBody

_MOST = 100
_BOUNDARY = re.compile(r'boundary="?([^";, ]{1,70})"?', re.IGNORECASE)
_ID = re.compile(r"^content-id:[ ]*<([\w.+-]{1,100})>", re.IGNORECASE | re.MULTILINE)
_DELETE = re.compile(r"^DELETE (/[!-~]{1,8000}) HTTP/1\.1\r?$", re.MULTILINE)


def read_deletions(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Read each request's `Content-ID` and target.

    Raises:
        BadBody: The body is not `multipart/mixed` with at most a hundred deletions.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise BadBody("expected multipart/mixed with a boundary")
    parts = body.decode("ascii").split(f"--{boundary[1]}")[1:-1]
    matches = [(_ID.search(part), _DELETE.search(part)) for part in parts]
    deletions = [(number[1], request[1]) for number, request in matches if number and request]
    if not 0 < len(deletions) == len(parts) <= _MOST:
        raise BadBody(f"expected 1 to {_MOST} deletions, each with a Content-ID, got {len(parts)} parts")
    return deletions


def encode_answers(answers: Sequence[tuple[str, HTTPStatus, str]]) -> tuple[str, bytes]:
    """The content type and the content of the answer: each request's `Content-ID`, status and error."""
    boundary = uuid.uuid4().hex
    parts = [
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: application/json\r\n\r\n"
        f"{_error(status, message)}\r\n"
        for number, status, message in answers
    ]
    return f"multipart/mixed; boundary={boundary}", "".join([*parts, f"--{boundary}--\r\n"]).encode()


def _error(status: HTTPStatus, message: str) -> str:
    error = {"error": {"code": int(status), "message": message}}
    return json.dumps(error, allow_nan=False) if message else ""
