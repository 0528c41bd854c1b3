"""What Redraw uses of google-cloud-storage that is not its public API; all of it is that of version 3."""

from __future__ import annotations

import os
from typing import Any

from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage  # noqa: TID253 - only gs:// URIs load this module
from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: TID253 - as above


def client_over(session: AuthorizedSession, credentials: Credentials) -> storage.Client:
    """A client whose requests go over a session that exists: its connections are kept open and shared.

    The argument is `_http`; google-cloud-python has no public one.

    The variable that is set is not documented either. Without it each client asks in the background for
    the bucket's project and place, for traces: a request more, and one that needs the permission
    storage.buckets.get. It ends with a constructor's argument.
    """
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    # Only buckets belong to a project, objects do not: no project has to be found.
    return storage.Client(project=None, credentials=credentials, _http=session)


def blob_resource(blob: storage.Blob) -> dict[str, Any]:
    """A blob's resource as the service last described it; its public properties are single values of it."""
    resource: dict[str, Any] = blob._properties
    return resource


def would_retry(err: Exception) -> bool:
    """Whether the client makes a call again after this error; its policy has no public way to ask."""
    return bool(DEFAULT_RETRY._predicate(err))
