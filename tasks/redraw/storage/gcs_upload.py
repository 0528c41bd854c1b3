"""Upload one object in one streamed request, with a precondition and a checksum.

The client has two kinds of upload. A multipart request has the whole content in memory, twice; a resumable
one needs several requests and a session. So this module makes the request, and streams the file: a media
upload if the server honours its checksum and precondition (`MediaUploads`), else a multipart one. A failed
upload starts again from the first byte of the file, which is at most one shard of a model.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import google_crc32c
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption  # noqa: TID253 - only gs:// URIs load this module

from redraw.compat.storage import blob_resource
from redraw.storage.gcs_retry import Patience, Progress
from redraw.storage.interface import FileAltered

_BLOCK = 1 << 20
_TYPE = "application/octet-stream"
# The service's words for content that does not match its checksum.
_ALTERED = re.compile(r"crc32c|md5|checksum|x-goog-hash", re.IGNORECASE)
logger = logging.getLogger(__name__)
# For a smaller file, a media upload gains less than the question costs.
_LEAST_BYTES = 8 << 20
_CONTENT = b"redraw"


class Session(Protocol):
    """Sends requests with credentials: `google.auth.transport.requests.AuthorizedSession`."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send one request and return the `requests.Response`."""
        ...


class FileBody:
    """A file as a request's content, read again for each iteration.

    The last block is sent only if the whole file has the expected digest: so the end of an altered file is
    never sent, and the service creates no object.
    """

    def __init__(self, path: Path, size: int, sha256: str | None, progress: Progress) -> None:
        self._path, self._size, self._sha256, self._progress = path, size, sha256, progress

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        digest, size, last = hashlib.sha256(), 0, b""
        with self._path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                if self._sha256 is not None:
                    digest.update(block)
                size += len(block)
                if last:
                    yield last
                last = block
                self._progress.move()
        actual = digest.hexdigest()
        if size != self._size or self._sha256 not in (None, actual):
            raise FileAltered(f"{self._path}: {size} bytes with SHA-256 {actual}")
        yield last


class MultipartBody:
    """A request's content: metadata, then the object."""

    def __init__(self, metadata: dict[str, str], content: bytes | FileBody) -> None:
        self.boundary = uuid.uuid4().hex
        self._content = content
        self._head = (
            f"--{self.boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps(metadata)}\r\n--{self.boundary}\r\nContent-Type: {_TYPE}\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + len(self._content) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        yield from [self._content] if isinstance(self._content, bytes) else self._content
        yield self._tail

    def in_one_piece(self) -> bytes | MultipartBody:
        """The content as bytes if it is small, so that it is sent in one call instead of three."""
        return b"".join(self) if len(self._content) <= _BLOCK else self


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One object to write.

    Attributes:
        endpoint: The service's URL.
        bucket: The bucket's name.
        name: The object's full name.
        source: Its content, or the file that holds it.
        size: Of the content, in bytes.
        crc32c: Of the content; the service refuses other bytes.
        sha256: Of the content, in hex, if the file must be checked while it is read.
        generation: The generation to replace; 0 if no object may exist.
        cache_control: Whether and how long caches may keep it; not with `media`.
        media: Whether to send only the content, with its checksum in a header, if the server honours that.
    """

    endpoint: str
    bucket: str
    name: str
    source: bytes | Path
    size: int
    crc32c: int
    generation: int
    sha256: str | None = None
    cache_control: str = ""
    media: bool = False

    def send(self, session: Session, timeout: tuple[float, float], progress: Progress) -> dict[str, Any]:
        """Send it once; `progress` records when its parts are sent.

        Returns:
            The object's resource, as the service describes it.

        Raises:
            google.api_core.exceptions.GoogleAPICallError: The service refused; 412 if there is another
                generation.
            DataCorruption: The service received other bytes than were sent, and created no object.
            FileAltered: The file is not what its size or digest says.
            requests.RequestException: The connection failed.
        """
        response = self.request(session, timeout, progress)
        if response.status_code == HTTPStatus.BAD_REQUEST and _ALTERED.search(response.text):
            raise DataCorruption(response, response.text)
        if not response.ok:
            raise api.from_http_response(response)
        resource: dict[str, Any] = response.json()
        return resource

    def request(
        self, session: Session, timeout: tuple[float, float], progress: Progress | None = None
    ) -> Any:
        """Send it once; returns the service's response, whatever its status."""
        source, progress = self.source, progress or Progress()
        content = source if isinstance(source, bytes) else FileBody(source, self.size, self.sha256, progress)
        checksum = base64.b64encode(self.crc32c.to_bytes(4, "big")).decode()
        query = {"ifGenerationMatch": str(self.generation)}
        body: Any = content
        if self.media:
            query |= {"uploadType": "media", "name": self.name}
            headers = {"Content-Type": _TYPE, "X-Goog-Hash": f"crc32c={checksum}"}
        else:
            metadata = {"name": self.name, "crc32c": checksum}
            if self.cache_control:
                metadata["cacheControl"] = self.cache_control
            multipart = MultipartBody(metadata, content)
            query["uploadType"] = "multipart"
            headers = {"Content-Type": f"multipart/related; boundary={multipart.boundary}"}
            body = multipart.in_one_piece()
        url = f"{self.endpoint}/upload/storage/v1/b/{self.bucket}/o"
        return session.request("POST", url, params=query, headers=headers, data=body, timeout=timeout)


def copy_object(source: Any, target: Any, patience: Patience) -> dict[str, Any]:
    """Copy one generation of an object to a name that has no object.

    Within a location, a storage class and an encryption key this takes one call. Otherwise the service copies
    a part in each call, and returns a token for the next. Each call may be repeated, because each has the
    preconditions.

    Args:
        source: The `google.cloud.storage.Blob` to copy, with its generation.
        target: The `google.cloud.storage.Blob` to create.
        patience: How each call retries and when it gives up.

    Returns:
        The new object's resource, as the service describes it.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: The service refused; 412 if the target exists, 404 if
            the source's generation, or a bucket, does not.
    """
    # With a type of its own, the target does not take the source's metadata, in which others may change an
    # encoding without making another generation.
    target.content_type = _TYPE
    connecting, silence = patience.silence
    # A call sends nothing until it is done.
    waiting = {**patience.options, "timeout": (connecting, 2 * silence)}
    token, _, _ = target.rewrite(source, if_generation_match=0, **waiting)
    while token is not None:
        token, _, _ = target.rewrite(source, token=token, if_generation_match=0, **waiting)
    return blob_resource(target)


class MediaUploads:
    """Finds out whether a bucket's server honours the precondition and checksum of a media upload.

    Cloud Storage does; emulators may ignore them. The trial sends objects that a server which honours both
    never creates.
    """

    def __init__(self, session: Session, patience: Patience) -> None:
        self._session, self._patience = session, patience
        self._honoured: bool | None = None
        self._lock = threading.Lock()

    def prefer(self, upload: Upload) -> Upload:
        """The upload as a media upload if the server honours it; the upload itself reports any error."""
        if upload.size < _LEAST_BYTES or isinstance(upload.source, bytes):
            return upload
        with self._lock:
            if self._honoured is None:
                try:
                    self._honoured = _is_honoured(self._session, upload, self._patience)
                except (requests.RequestException, auth.GoogleAuthError):
                    return upload
        return replace(upload, media=self._honoured)


def _is_honoured(session: Session, upload: Upload, patience: Patience) -> bool:
    """Try media uploads in the folder of an upload, without its content."""
    folder = upload.name.rpartition("/")[0].split("/")[:1]
    trial = replace(
        upload,
        name="/".join([*folder, f".redraw-{uuid.uuid4().hex}"]),
        source=_CONTENT,
        size=len(_CONTENT),
        crc32c=google_crc32c.value(_CONTENT),
        sha256=None,
        media=True,
    )
    # One replaces a generation that does not exist, the other has a wrong checksum.
    refused = {
        HTTPStatus.PRECONDITION_FAILED: replace(trial, generation=1),
        HTTPStatus.BAD_REQUEST: replace(trial, generation=0, crc32c=trial.crc32c ^ 1),
    }
    return all(_is_refused(session, upload, status, patience) for status, upload in refused.items())


def _is_refused(session: Session, trial: Upload, status: HTTPStatus, patience: Patience) -> bool:
    response = trial.request(session, patience.silence)
    if response.ok:
        where = f"{trial.endpoint}/storage/v1/b/{trial.bucket}/o/{quote(trial.name, safe='')}"
        session.request("DELETE", where, timeout=patience.silence)
    logger.debug("an upload of only content was answered %d, and %d is right", response.status_code, status)
    return bool(response.status_code == status)
