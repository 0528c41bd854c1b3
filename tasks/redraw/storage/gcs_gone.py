"""What a bucket keeps of objects that were deleted.

Sources: https://cloud.google.com/storage/docs/object-versioning,
https://cloud.google.com/storage/docs/soft-delete
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.api_core import exceptions as api

from redraw.storage.gcs_retry import Patience

_FIELDS = "items(name,timeDeleted,softDeleteTime,hardDeleteTime),nextPageToken"


def find_gone(client: Any, bucket: Any, prefix: str, patience: Patience) -> Iterator[str]:
    """Say what still lies there, by listings: to read the bucket's own settings takes a permission on it.

    Args:
        client: The `google.cloud.storage.Client`.
        bucket: The `google.cloud.storage.Bucket`.
        prefix: Of the names of objects that were deleted just now.
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
