"""One object copied from bucket to bucket by the service itself: none of its bytes come to this machine.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
"""

from __future__ import annotations

from typing import Any

__all__ = ["copy_object"]

_TYPE = "application/octet-stream"


def copy_object(source: Any, target: Any, patience: dict[str, Any]) -> dict[str, Any]:
    """Copy one generation of an object to where none is.

    Where the bytes may stay as they lie it is done in one call. Between locations, storage classes or
    encryption keys the service does as much as it likes in a call, and gives a token to go on with.
    Any of the calls may be made twice, for the preconditions hold for each.

    Args:
        source: The `google.cloud.storage.Blob` to copy, with its generation.
        target: The one to make.
        patience: How each call retries and when it gives up: `gcs_errors.patience`.

    Returns:
        The new object's resource, as the service describes it.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: The service refused; 412 where an object is
            there, 404 where the source's generation, or a bucket, is not.
    """
    # Uploads have this type and no more. To say so keeps the source's own metadata away, of which
    # others may alter an encoding without making another generation.
    target.content_type = _TYPE
    connecting, silence = patience["timeout"]
    # Nothing is heard of a call until it is done.
    waiting = {**patience, "timeout": (connecting, 2 * silence)}
    token, _, _ = target.rewrite(source, if_generation_match=0, **waiting)
    while token is not None:
        token, _, _ = target.rewrite(source, token=token, if_generation_match=0, **waiting)
    resource: dict[str, Any] = target._properties
    return resource
