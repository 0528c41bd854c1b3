"""One object in one streamed request, created by precondition and checked by its checksum.

The client's own upload has two ways. A multipart request takes the whole content into memory, twice; a
resumable one needs several requests and a session. So the request is made here, from the file as it is
read: only the content where the server honours the checksum and the precondition of such a request
(`MediaUploads`), else multipart. The shard of a model is the unit of retry; what was sent of it is sent
again.

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
# The service's words for content that has not the checksum that it was sent with.
_ALTERED = re.compile(r"crc32c|md5|checksum|x-goog-hash", re.IGNORECASE)
logger = logging.getLogger(__name__)
# For a smaller file the question would cost more than it gains.
_LEAST_BYTES = 8 << 20
_CONTENT = b"redraw"


class Session(Protocol):
    """What sends a request with credentials: `google.auth.transport.requests.AuthorizedSession`."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send one request and return the `requests.Response`."""
        ...


class FileBody:
    """A file as a request's content, read again each time it is iterated.

    The last block is held back until all of it has the expected digest: of another file the end is never
    sent, so no object is made of it.
    """

    def __init__(self, path: Path, size: int, sha256: str | None, progress: Progress) -> None:
        self._path, self._size, self._sha256, self._progress = path, size, sha256, progress

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        digest, size, held = hashlib.sha256(), 0, b""
        with self._path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                if self._sha256 is not None:
                    digest.update(block)
                size += len(block)
                if held:
                    yield held
                held = block
                self._progress.move()
        found = digest.hexdigest()
        if size != self._size or self._sha256 not in (None, found):
            raise FileAltered(f"{self._path}: {size} bytes with SHA-256 {found}")
        yield held


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
        """The content as bytes where it is small: then it is sent in one call, not in three."""
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
        crc32c: Of the content; the service refuses another one.
        sha256: Of the content, in hex, where the file is to be checked against it while it is read.
        generation: The generation to replace; 0 to write only where no object is.
        cache_control: Whether and how long others may keep it; not with `media`.
        media: Whether only the content comes, its checksum in a header: where the server honours that.
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
        """Send it once; `progress` takes down when its parts go.

        Returns:
            The object's resource, as the service describes it.

        Raises:
            google.api_core.exceptions.GoogleAPICallError: The service refused; 412 where
                another generation is there.
            DataCorruption: Other bytes arrived than were sent; no object was made of them.
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
        """The same; returns whatever the service answers."""
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
    """Copy one generation of an object to where none is.

    Where the bytes may stay as they lie it is done in one call. Between locations, storage classes or
    encryption keys the service does as much as it likes in a call, and gives a token to go on with.
    Any of the calls may be made twice, for the preconditions hold for each.

    Args:
        source: The `google.cloud.storage.Blob` to copy, with its generation.
        target: The one to make.
        patience: How each call retries and when it gives up.

    Returns:
        The new object's resource, as the service describes it.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: The service refused; 412 where an object is
            there, 404 where the source's generation, or a bucket, is not.
    """
    # Uploads have this type and no more. To say so keeps the source's own metadata away, of which
    # others may alter an encoding without making another generation.
    target.content_type = _TYPE
    connecting, silence = patience.silence
    # Nothing is heard of a call until it is done.
    waiting = {**patience.options, "timeout": (connecting, 2 * silence)}
    token, _, _ = target.rewrite(source, if_generation_match=0, **waiting)
    while token is not None:
        token, _, _ = target.rewrite(source, token=token, if_generation_match=0, **waiting)
    return blob_resource(target)


class MediaUploads:
    """Whether a bucket's server honours the precondition and checksum of an upload that is only content.

    Cloud Storage does; servers that stand in for it may take such an upload for anything. It is tried with an
    object that a server which honours both never makes.
    """

    def __init__(self, session: Session, patience: Patience) -> None:
        self._session, self._patience = session, patience
        self._honoured: bool | None = None
        self._asking = threading.Lock()

    def prefer(self, upload: Upload) -> Upload:
        """The upload as the server takes it best. What goes wrong here will be said of the upload itself."""
        if upload.size < _LEAST_BYTES or isinstance(upload.source, bytes):
            return upload
        with self._asking:
            if self._honoured is None:
                try:
                    self._honoured = _is_honoured(self._session, upload, self._patience)
                except (requests.RequestException, auth.GoogleAuthError):
                    return upload
        return replace(upload, media=self._honoured)


def _is_honoured(session: Session, upload: Upload, patience: Patience) -> bool:
    """Try it where an upload is to go; of the upload itself nothing is sent."""
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
    # To replace a generation that no object has, and to create one with another checksum.
    refused = {
        HTTPStatus.PRECONDITION_FAILED: replace(trial, generation=1),
        HTTPStatus.BAD_REQUEST: replace(trial, generation=0, crc32c=trial.crc32c ^ 1),
    }
    return all(_is_refused(session, one, status, patience) for status, one in refused.items())


def _is_refused(session: Session, trial: Upload, status: HTTPStatus, patience: Patience) -> bool:
    response = trial.request(session, patience.silence)
    if response.ok:
        where = f"{trial.endpoint}/storage/v1/b/{trial.bucket}/o/{quote(trial.name, safe='')}"
        session.request("DELETE", where, timeout=patience.silence)
    logger.debug("an upload of only content was answered %d, and %d is right", response.status_code, status)
    return bool(response.status_code == status)
