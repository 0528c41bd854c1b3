"""What a request asks of Cloud Storage, and which permissions the real service demands for it.

Source: https://cloud.google.com/storage/docs/access-control/iam-json
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = [
    "Operation",
    "StorageRequest",
    "permissions_by_bucket",
    "permissions_of",
    "read_request",
]

Operation = Literal[
    "list", "stat", "read", "create", "copy", "replace", "update", "delete", "batch", "bucket", "other"
]

_PERMISSIONS: dict[Operation, frozenset[str]] = {
    "list": frozenset({"storage.objects.list"}),
    "stat": frozenset({"storage.objects.get"}),
    "read": frozenset({"storage.objects.get"}),
    "create": frozenset({"storage.objects.create"}),
    # And to get the one that is copied, in its bucket.
    "copy": frozenset({"storage.objects.create"}),
    # What takes the place of an object deletes that one.
    "replace": frozenset({"storage.objects.create", "storage.objects.delete"}),
    "update": frozenset({"storage.objects.get", "storage.objects.update"}),
    "delete": frozenset({"storage.objects.delete"}),
    # Redraw makes only batches of deletions.
    "batch": frozenset({"storage.objects.delete"}),
    "bucket": frozenset({"storage.buckets.get"}),
}
_BATCH = "/batch/storage/v1"
_URL = re.compile(
    r"/(?:(?P<service>upload|download)/)?storage/v1/b(?:/(?P<bucket>[^/]+)(?P<objects>/o(?:/(?P<name>.+))?)?)?"
)
# A name that has it in it is quoted.
_COPY_TO = "/rewriteTo/b/"
_NAME_IN_METADATA = re.compile(rb'"name": *"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class StorageRequest:
    """One request, as it arrived.

    Attributes:
        method: The HTTP method.
        operation: What it asks for.
        bucket: The bucket's name; '' where it names none.
        name: The object's name, or the prefix of a listing; '' where it has none.
        generation: What it says in `ifGenerationMatch` or `generation`, if anything.
        size: Of its body, in bytes.
        source: Of a copy, whose bucket and name are those of the new object: the bucket of the other one.
        token: Of a copy: where it goes on; '' where it begins.
        project: The one that it says pays for it.
        among: Of a listing: `versions` or `softDeleted` if it is of more than the objects that are there.
        acl: Whether it reads or sets access lists of single objects.
    """

    method: str
    operation: Operation
    bucket: str
    name: str
    generation: str | None
    size: int
    source: str = ""
    token: str = ""
    project: str = ""
    among: str = ""
    acl: bool = False


def read_request(method: str, target: str, size: int, beginning: bytes) -> StorageRequest:
    """Read what a request asks for.

    Args:
        method: The HTTP method.
        target: Path and query, as sent.
        size: Of its body, in bytes.
        beginning: The first bytes of its body: an upload names its object there.

    Returns:
        The request; its operation is `other` where it is none that Redraw makes.
    """
    parts = urlsplit(target)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    found = _URL.fullmatch(parts.path)
    place = (
        found.groupdict(default="") if found else dict.fromkeys(("service", "bucket", "objects", "name"), "")
    )
    source = ""
    if _COPY_TO in place["name"]:
        source, target = place["bucket"], place["name"].partition(_COPY_TO)[2]
        place["bucket"], _, place["name"] = target.partition("/o/")
    name = unquote(place["name"]) or query.get("prefix", query.get("name", ""))
    if place["service"] == "upload" and (named := _NAME_IN_METADATA.search(beginning)):
        name = named[1].decode()
    operation = _operation(method, place, query, source) if found else "other"
    return StorageRequest(
        method=method,
        operation="batch" if (method, parts.path) == ("POST", _BATCH) else operation,
        bucket=place["bucket"],
        name=name,
        generation=query.get("ifGenerationMatch", query.get("generation")),
        size=size,
        source=source,
        token=query.get("rewriteToken", ""),
        project=query.get("userProject", ""),
        among=next((key for key in ("versions", "softDeleted") if query.get(key, "").lower() == "true"), ""),
        acl=query.get("projection") == "full" or "predefinedAcl" in query or "/acl" in parts.path,
    )


def permissions_of(request: StorageRequest) -> frozenset[str]:
    """The IAM permissions that the real service demands; of an unknown request one that nobody has."""
    return frozenset(permission for _, permission in permissions_by_bucket(request))


def permissions_by_bucket(request: StorageRequest) -> frozenset[tuple[str, str]]:
    """The same, each with the bucket that it is demanded for."""
    needed = _PERMISSIONS.get(request.operation, frozenset({"unknown"}))
    pairs = {(request.bucket, permission) for permission in needed}
    return frozenset(pairs | {(request.source, "storage.objects.get")} if request.source else pairs)


def _operation(method: str, place: dict[str, str], query: dict[str, str], source: str) -> Operation:
    if source:
        # One that may take another object's place would have to delete that one.
        return "copy" if method == "POST" and query.get("ifGenerationMatch") == "0" else "other"
    if place["service"] == "upload" and method == "POST":
        return "create" if query.get("ifGenerationMatch") == "0" else "replace"
    if not place["objects"]:
        return "bucket" if place["bucket"] and method == "GET" else "other"
    if not place["name"]:
        return "list" if method == "GET" else "other"
    if method == "GET":
        return "read" if query.get("alt") == "media" else "stat"
    known: dict[str, Operation] = {"PATCH": "update", "PUT": "update", "DELETE": "delete"}
    return known.get(method, "other")
