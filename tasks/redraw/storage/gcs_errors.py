"""Translate Cloud Storage's errors into Redraw's."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption  # noqa: TID253 - only gs:// URIs load this module

from redraw.errors import BucketNotFound, StorageError, StorageForbidden, StorageUnavailable
from redraw.settings import STORAGE_TIMEOUT, USER_PROJECT

_UNAVAILABLE = (
    api.RetryError,
    api.ServerError,
    api.TooManyRequests,
    auth.TransportError,
    requests.RequestException,
    DataCorruption,
)
_REQUEST_TIMEOUT = 408
# The service's words for an object that its owner protects; no role allows to change it.
_PROTECTED = re.compile(r"retention|\b(under|active|temporary|event-based) hold\b", re.IGNORECASE)
# The service's words for a bucket that nobody may use in its state, or from here, with any role.
_CLOSED = re.compile(
    r"billing|service controls|organization('s)? policy|has not been used in project|is disabled",
    re.IGNORECASE,
)
_REQUESTER_PAYS = re.compile(r"requester pays|user ?project|serviceusage", re.IGNORECASE)


@contextlib.contextmanager
def translating(uri: str, permission: str) -> Iterator[None]:
    """Translate the client's errors into a `StorageError`.

    The caller handles missing or changed objects itself: so a 404 that arrives here means that the bucket is
    missing.

    Args:
        uri: The object or bucket, for the message.
        permission: The permission that the call within needs.

    Yields:
        Nothing; call the client within.

    Raises:
        BucketNotFound: 404.
        StorageForbidden: 401, 403, or no usable credentials.
        StorageUnavailable: 408, 429, 5xx, a lost or refused connection, a stall or an altered response, after
            the client's retries.
        StorageError: Any other refusal.
    """
    handled = sys.exception()
    try:
        yield
    except (api.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, DataCorruption) as err:
        raise _translated(uri, permission, err, _reason(err, handled)) from err


def _translated(uri: str, permission: str, err: Exception, reason: str) -> StorageError:
    if isinstance(err, api.NotFound):
        return BucketNotFound(
            f"{uri}: expected an existing bucket, got 404 {reason}. Correct the bucket's name, or create"
            " the bucket: gcloud storage buckets create."
        )
    if isinstance(err, api.Forbidden | api.Unauthorized | api.BadRequest) and _REQUESTER_PAYS.search(reason):
        return StorageForbidden(
            f"{uri}: expected a project that pays for the request, got {err.code} {reason}. Set"
            f" {USER_PROJECT.variable}, or user_project in the Airflow connection's extra fields, to a"
            " project in which the service account has serviceusage.services.use."
        )
    if isinstance(err, api.Forbidden | api.Unauthorized):
        return _forbidden(uri, permission, f"{err.code} {reason}")
    if isinstance(err, _UNAVAILABLE) or getattr(err, "code", None) == _REQUEST_TIMEOUT:
        return StorageUnavailable(
            f"{uri}: expected an answer of Cloud Storage, got {reason} on every try. Check the network,"
            f" then run the same command again; to wait longer, raise {STORAGE_TIMEOUT.variable} (seconds)."
        )
    if isinstance(err, auth.GoogleAuthError):
        return StorageForbidden(
            f"{uri}: expected usable credentials, got {reason}."
            " Set the Airflow connection, or GOOGLE_APPLICATION_CREDENTIALS."
        )
    return StorageError(f"{uri}: the storage refused: {reason}. Correct the request.")


def _forbidden(uri: str, permission: str, got: str) -> StorageForbidden:
    """A refusal, with advice on the cause that the service gives."""
    if _PROTECTED.search(got):
        return StorageForbidden(
            f"{uri}: expected an object that may be replaced and deleted, got {got}. Wait until the"
            " retention ends, or have the retention or the hold removed."
        )
    advice = (
        "A role cannot fix this. Remove the cause that the answer names."
        if _CLOSED.search(got)
        else "Grant the service account this permission, or use other credentials."
    )
    return StorageForbidden(f"{uri}: expected permission ({permission}), got {got}. {advice}")


def _reason(err: BaseException, handled: BaseException | None) -> str:
    """The service's message, or else that of the innermost cause, on one line.

    Args:
        err: The error.
        handled: The error that was being handled when the request was made, which is not its cause.
    """
    if message := _message_of(getattr(err, "response", None)):
        return _on_one_line(message)
    inner = err.__cause__ or err.__context__
    if inner is not None and inner is not handled:
        return _reason(inner, handled)
    return _on_one_line(str(err) or type(err).__name__)


def _message_of(response: object) -> str:
    """The message in an error response of the service; '' if it is none."""
    if not isinstance(response, requests.Response) or response.ok:
        return ""
    try:
        return str(response.json()["error"]["message"])
    # The body of a truncated or streamed response cannot be read.
    except (ValueError, KeyError, TypeError, requests.RequestException, RuntimeError):
        return f"{response.status_code} {response.reason}"


def _on_one_line(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= 200 else f"'{line[:197]}…'"
