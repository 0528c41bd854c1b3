"""Features of buckets that the storage server behind the proxy lacks, as the real service has them.

Sources: https://cloud.google.com/storage/docs/requester-pays,
https://cloud.google.com/storage/docs/object-versioning, https://cloud.google.com/storage/docs/soft-delete,
https://cloud.google.com/storage/docs/uniform-bucket-level-access, https://cloud.google.com/storage/docs/batch
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import uuid
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import google_crc32c

from tests.publishing.requests import StorageRequest

__all__ = ["Features", "as_multipart", "run_batch", "upload_checksums"]

Refusal = tuple[int, str]


@dataclass
class Features:
    """What the buckets behind a proxy have; a test sets it.

    Attributes:
        payer: Requests have to name a project that pays, this one.
        prefix: Only objects below it may be used, and listed.
        uniform: Access lists of single objects can be neither read nor set.
        versioned: What is deleted stays as a noncurrent version.
        soft_deleted: Until when what is deleted can be restored.
        storage_class: Of every object.
        created: When every object was made; as it was if it is empty.
        media: Whether uploads of only content are checked against their precondition and checksum.
        batches: Whether many deletions may come in one request.
        kept: Part of a name to what an object's description says in addition: a hold, or until when it is
            retained. Such an object can be neither deleted nor replaced.
        gone: The descriptions of what was deleted.
    """

    payer: str = ""
    prefix: str = ""
    uniform: bool = False
    versioned: bool = False
    soft_deleted: str = ""
    storage_class: str = ""
    created: str = ""
    media: bool = False
    batches: bool = True
    kept: dict[str, dict[str, object]] = field(default_factory=dict)
    gone: list[dict[str, Any]] = field(default_factory=list)
    deleting: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, request: StorageRequest) -> Refusal | None:
        """Why the service refuses a request, if it does."""
        if self.payer and request.operation != "batch" and request.project != self.payer:
            return 400, "Bucket is a requester pays bucket but no user project provided."
        if self.uniform and request.acl:
            return 400, "Cannot use ACL API to update policy when uniform bucket-level access is enabled."
        outside = request.operation == "bucket" or not request.name.startswith(self.prefix)
        if self.prefix and request.operation != "batch" and outside:
            what = "list" if request.operation == "list" else "get"
            return 403, f"redraw@test.iam does not have storage.objects.{what} access to {request.name!r}."
        changes = request.operation in ("delete", "replace")
        if changes and any(part in request.name for part in self.kept):
            return 403, f"Object '{request.bucket}/{request.name}' is under active Temporary hold."
        return None

    def listed(self, request: StorageRequest, listing: dict[str, Any]) -> dict[str, Any]:
        """A listing as the service writes it."""
        items = listing.get("items", [])
        mine = [gone for gone in self.gone if gone["name"].startswith(request.name)]
        if request.among == "versions" and self.versioned:
            items = [*items, *({**gone, "timeDeleted": "2024-01-01T00:00:00Z"} for gone in mine)]
        elif request.among == "softDeleted":
            until = {"softDeleteTime": "2024-01-01T00:00:00Z", "hardDeleteTime": self.soft_deleted}
            items = [{**gone, **until} for gone in mine] if self.soft_deleted else []
        for item in items:
            item |= {"storageClass": self.storage_class} if self.storage_class else {}
            item |= {"timeCreated": self.created} if self.created else {}
            for part, more in self.kept.items():
                item |= more if part in item["name"] else {}
        return {**listing, "items": items}

    def delete(self, upstream: http.client.HTTPConnection, request: StorageRequest) -> Refusal | None:
        """Hold a deletion to its precondition, which the server ignores, and keep what it removes."""
        place = f"/storage/v1/b/{request.bucket}/o/{quote(request.name, safe='')}"
        upstream.request("GET", place)
        answer = upstream.getresponse()
        content = answer.read()
        if answer.status != 200:
            return 404, "No such object"
        found = json.loads(content)
        if request.generation not in (None, found["generation"]):
            return 412, "At least one of the pre-conditions you specified did not hold."
        upstream.request("DELETE", place)
        upstream.getresponse().read()
        self.gone.append(found)
        return None


def run_batch(
    features: Features, upstream: http.client.HTTPConnection, content_type: str, body: bytes
) -> tuple[str, bytes]:
    """Carry out a batch of deletions, one by one; returns the answer and its content type."""
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    boundary, parts = uuid.uuid4().hex, []
    for part in reversed(message.get_payload()):  # in an order of its own, as the service may
        assert not isinstance(part, str)
        status, said = _run(features, upstream, str(part.get_payload()).split()[1])
        number = str(part["Content-ID"]).strip("<>")
        parts.append(
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <response-{number}>\r\n\r\n"
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n\r\n"
            f"{json.dumps({'error': {'code': status, 'message': said}}) if said else ''}\r\n"
        )
    return f"multipart/mixed; boundary={boundary}", ("".join(parts) + f"--{boundary}--\r\n").encode()


def upload_checksums(content_type: str, hashes: str | None, body: bytes) -> tuple[str, str]:
    """The crc32c that an upload declares, and that of the content that arrived; both in base64."""
    if hashes:
        declared, content = hashes.removeprefix("crc32c="), body
    else:
        boundary = content_type.partition("boundary=")[2].encode()
        _, metadata, part, _ = body.split(b"--" + boundary)
        declared = json.loads(metadata.partition(b"\r\n\r\n")[2])["crc32c"]
        content = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    return declared, base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def as_multipart(target: str, checksum: str, body: bytes) -> tuple[str, str, bytes]:
    """An upload of only content as one that the server holds to its precondition: target, type and body."""
    parts = urlsplit(target)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    metadata = json.dumps({"name": query.pop("name"), "crc32c": checksum}).encode()
    boundary = uuid.uuid4().hex.encode()
    content = b"--%b\r\nContent-Type: application/json\r\n\r\n%b\r\n" % (boundary, metadata)
    content += b"--%b\r\nContent-Type: a/b\r\n\r\n%b\r\n--%b--\r\n" % (boundary, body, boundary)
    kind = f"multipart/related; boundary={boundary.decode()}"
    return f"{parts.path}?{urlencode(query | {'uploadType': 'multipart'})}", kind, content


def _run(features: Features, upstream: http.client.HTTPConnection, target: str) -> Refusal:
    parts = urlsplit(target)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    *_, bucket, _, name = parts.path.split("/")
    request = StorageRequest(
        method="DELETE",
        operation="delete",
        bucket=bucket,
        name=unquote(name),
        generation=query.get("ifGenerationMatch"),
        size=0,
        project=query.get("userProject", ""),
    )
    return features.refusal(request) or features.delete(upstream, request) or (204, "")
