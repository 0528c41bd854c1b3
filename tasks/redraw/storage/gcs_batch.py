"""Delete many objects in one request, if the server supports that; find what a bucket keeps of them.

Sources: https://cloud.google.com/storage/docs/batch,
https://cloud.google.com/storage/docs/object-versioning,
https://cloud.google.com/storage/docs/soft-delete
"""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from google.api_core import exceptions as api

from redraw.storage.gcs_retry import Patience
from redraw.storage.gcs_upload import Session
from redraw.storage.interface import StoredObject

# The service's limit for one request.
_MOST = 100
_STREAMS = 4
_STATUS = re.compile(r"HTTP/1\.[01] ([0-9]{3})\b")
_NUMBER = re.compile(r"\+([0-9]{1,3})>?$")
# Statuses after which nothing is left to do: the object is deleted, or was replaced and stays.
_SETTLED = {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED}
_Named = tuple[str, StoredObject]
_FIELDS = "items(name,timeDeleted,softDeleteTime,hardDeleteTime),nextPageToken"


class Deletions:
    """Deletes objects of one bucket. The first request shows whether the server supports batches."""

    def __init__(self, session: Session, endpoint: str, bucket: str, patience: Patience) -> None:
        self._session, self._patience = session, patience
        self._url = f"{endpoint}/batch/storage/v1"
        self._objects = f"/storage/v1/b/{bucket}/o"
        self._offered = True

    def send(self, objects: Iterable[_Named]) -> list[StoredObject]:
        """Delete the listed generations of objects, each with its own precondition.

        Args:
            objects: Name in the bucket, and description.

        Returns:
            The objects that were not deleted. Delete them one by one, which gives the reason.
        """
        chunks = list(_chunks(objects))
        if not chunks:
            return []
        # Alone, so that a server without batches gets only one.
        first = self._delete(chunks[0])
        with ThreadPoolExecutor(_STREAMS) as pool:
            return list(itertools.chain(first, *pool.map(self._delete, chunks[1:])))

    def _delete(self, chunk: Sequence[_Named]) -> list[StoredObject]:
        if len(chunk) == 1 or not self._offered:
            return [item for _, item in chunk]
        try:
            statuses = self._patience.keep_trying(lambda: self._statuses(chunk))
        except api.GoogleAPIError:
            self._offered, statuses = False, {}
        return [item for number, (_, item) in enumerate(chunk) if statuses.get(number) not in _SETTLED]

    def _statuses(self, chunk: Sequence[_Named]) -> dict[int, int]:
        """Position in the chunk to status.

        Raises:
            google.api_core.exceptions.GoogleAPIError: The server does not support batches, or failed.
        """
        boundary = uuid.uuid4().hex
        response = self._session.request(
            "POST",
            self._url,
            headers={"Content-Type": f"multipart/mixed; boundary={boundary}"},
            data="".join(self._parts(chunk, boundary)).encode(),
            timeout=self._patience.silence,
        )
        if not response.ok:
            raise api.from_http_response(response)
        kind = f"Content-Type: {response.headers.get('Content-Type', '')}\r\n\r\n".encode()
        answer = BytesParser().parsebytes(kind + response.content)
        parts = answer.get_payload() if answer.is_multipart() else []
        statuses = dict(_status(part, place) for place, part in enumerate(parts))
        if len(statuses) != len(chunk):
            raise api.NotImplemented(f"expected {len(chunk)} answers, got {len(statuses)}")
        return statuses

    def _parts(self, chunk: Sequence[_Named], boundary: str) -> Iterator[str]:
        project = getattr(self._session, "params", None) or {}
        for number, (name, item) in enumerate(chunk):
            query = urlencode({"ifGenerationMatch": item.generation, **project})
            yield (
                f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <redraw+{number}>\r\n\r\n"
                f"DELETE {self._objects}/{quote(name, safe='')}?{query} HTTP/1.1\r\n\r\n\r\n"
            )
        yield f"--{boundary}--\r\n"


def _chunks(objects: Iterable[_Named]) -> Iterator[list[_Named]]:
    remaining = iter(objects)
    while chunk := list(itertools.islice(remaining, _MOST)):
        yield chunk


def _status(part: Message[Any, Any], place: int) -> tuple[int, int]:
    """The number of the request that a part of the response answers, and its status."""
    number, status = (
        _NUMBER.search(part.get("Content-ID", "")),
        _STATUS.match(str(part.get_payload()).lstrip()),
    )
    return int(number[1]) if number else place, int(status[1]) if status else 0


def find_gone(client: Any, bucket: Any, prefix: str, patience: Patience) -> Iterator[str]:
    """Describe deleted objects that the bucket keeps, from listings, which need no permission on the bucket.

    Args:
        client: The `google.cloud.storage.Client`.
        bucket: The `google.cloud.storage.Bucket`.
        prefix: Of the names of objects that were just deleted.
        patience: How each call retries and when it gives up.
    """

    def first(**among: bool) -> Any:
        options = {"prefix": prefix, "max_results": 1, "fields": _FIELDS, **among, **patience.options}
        return next(iter(client.list_blobs(bucket, **options)), None)

    noncurrent = first(versions=True)
    if noncurrent is not None and noncurrent.time_deleted:
        yield "object versioning keeps what was removed, and bills it, until a lifecycle rule deletes it"
    try:
        restorable = first(soft_deleted=True)
    except api.BadRequest:  # the bucket has no such policy
        return
    if restorable is not None and restorable.hard_delete_time:
        until = f"{restorable.hard_delete_time:%Y-%m-%dT%H:%M:%SZ}"
        yield f"soft delete keeps what was removed, and bills it, until {until}"
