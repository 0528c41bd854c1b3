"""One object in one streamed request, created by precondition and checked by its checksum.

The client's own upload has two ways. A multipart request takes the whole content into
memory, twice; a resumable one needs several requests and a session, and the server
that stands in for the bucket on a bare machine and in tests ignores preconditions on
it. So the multipart request is made here, from the file as it is read. The shard of a
model is the unit of retry; what was sent of it is sent again.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects/insert
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from google.api_core import exceptions as api

__all__ = ["MultipartBody", "Session", "Upload"]

_BLOCK = 1 << 20


class Session(Protocol):
    """What sends a request with credentials: `google.auth.transport.requests.AuthorizedSession`."""

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send one request and return the `requests.Response`."""
        ...


class MultipartBody:
    """The request's content: metadata, then the object, read anew each time it is iterated."""

    def __init__(self, metadata: dict[str, str], source: bytes | Path, size: int) -> None:
        self.boundary = uuid.uuid4().hex
        self._source = source
        self._size = size
        self._head = (
            f"--{self.boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps(metadata)}\r\n--{self.boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()

    def __len__(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        if isinstance(self._source, bytes):
            yield self._source
        else:
            with self._source.open("rb") as file:
                while block := file.read(_BLOCK):
                    yield block
        yield self._tail


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
        generation: The generation to replace; 0 to write only where no object is.
        cache_control: Whether and how long others may keep it.
    """

    endpoint: str
    bucket: str
    name: str
    source: bytes | Path
    size: int
    crc32c: int
    generation: int
    cache_control: str = ""

    def send(self, session: Session, timeout: tuple[float, float]) -> dict[str, Any]:
        """Send it once.

        Returns:
            The object's resource, as the service describes it.

        Raises:
            google.api_core.exceptions.GoogleAPICallError: The service refused; 412 where
                another generation is there.
            requests.RequestException: The connection failed.
        """
        checksum = base64.b64encode(self.crc32c.to_bytes(4, "big")).decode()
        metadata = {"name": self.name, "crc32c": checksum}
        if self.cache_control:
            metadata["cacheControl"] = self.cache_control
        body = MultipartBody(metadata, self.source, self.size)
        response = session.request(
            "POST",
            f"{self.endpoint}/upload/storage/v1/b/{self.bucket}/o",
            params={"uploadType": "multipart", "ifGenerationMatch": str(self.generation)},
            headers={"Content-Type": f"multipart/related; boundary={body.boundary}"},
            data=body,
            timeout=timeout,
        )
        if not response.ok:
            raise api.from_http_response(response)
        resource: dict[str, Any] = response.json()
        return resource
