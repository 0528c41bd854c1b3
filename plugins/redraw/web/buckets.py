"""The model bucket of this Airflow, opened once for all requests."""

from __future__ import annotations

import functools
import os

from tasks.browse import Browser
from tasks.errors import InvalidRequest
from tasks.names import check_bucket
from tasks.storage import open_storage

__all__ = ["model_browser"]


def model_browser() -> Browser:
    """The browser of the bucket that `REDRAW_MODEL_BUCKET` names, as a dependency of the routes.

    Raises:
        InvalidRequest: The API server has no such variable.
        StorageForbidden: There are no credentials for the bucket.
    """
    bucket = os.environ.get("REDRAW_MODEL_BUCKET")
    if not bucket:
        raise InvalidRequest(
            "REDRAW_MODEL_BUCKET: expected gs://BUCKET in the API server's environment, got none. Set it."
        )
    return _browser(check_bucket(bucket))


@functools.cache
def _browser(bucket: str) -> Browser:
    return Browser(open_storage(bucket))
