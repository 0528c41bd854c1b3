"""Uses of google-cloud-storage outside of its public API; all of it is that of version 3."""

from __future__ import annotations

import os
from typing import Any

from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage  # noqa: TID253 - only gs:// URIs load this module
from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: TID253 - as above


def client_over(session: AuthorizedSession, credentials: Credentials) -> storage.Client:
    """A client that sends its requests over an existing session, whose connections are shared.

    It uses the argument `_http`; google-cloud-python has no public one.

    The environment variable is not documented either. Without it, each client requests the bucket's project
    and location in the background, for traces. That is one more request, and needs the permission
    storage.buckets.get. It ends with an argument of the constructor.
    """
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    # Only buckets belong to a project, objects do not, so no project is needed.
    return storage.Client(project=None, credentials=credentials, _http=session)


def blob_resource(blob: storage.Blob) -> dict[str, Any]:
    """A blob's resource from the service's last response; the public properties are single values of it."""
    resource: dict[str, Any] = blob._properties
    return resource


def would_retry(err: Exception) -> bool:
    """Whether the client retries a call after this error; its policy has no public API for that."""
    return bool(DEFAULT_RETRY._predicate(err))
