"""Cloud Storage's errors in Redraw's words, and how long its client may try."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption  # noqa: TID253 - only gs:// URIs load this module
from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: TID253 - as above

from redraw.errors import BucketNotFound, StorageError, StorageForbidden, StorageUnavailable
from redraw.settings import STORAGE_TIMEOUT

__all__ = ["patience", "translating"]

_UNAVAILABLE = (
    api.RetryError,
    api.ServerError,
    api.TooManyRequests,
    auth.TransportError,
    requests.RequestException,
    DataCorruption,
)
_REQUEST_TIMEOUT = 408
# The service's words for an object that its owner protects; no role helps.
_KEPT = re.compile(r"retention|\b(under|active|temporary|event-based) hold\b", re.IGNORECASE)


def patience() -> dict[str, Any]:
    """How each call of the client retries and when it gives up, as its keyword arguments.

    REDRAW_STORAGE_TIMEOUT is the number of seconds after which no attempt is started
    (default 50); a single attempt may be silent for half of that, 20 s at most.

    Raises:
        InvalidSetting: The variable is no positive number.
    """
    seconds = STORAGE_TIMEOUT.read()
    silence = min(20.0, seconds / 2)
    return {"retry": DEFAULT_RETRY.with_timeout(seconds), "timeout": (min(5.0, silence), silence)}


@contextlib.contextmanager
def translating(uri: str, permission: str) -> Iterator[None]:
    """Raise a `StorageError` in place of what the client raises.

    An object that is absent or was changed is an answer, for the caller to take first:
    a 404 that arrives here means that the bucket is missing.

    Args:
        uri: What was read or written, named in the message.
        permission: What the call within needs.

    Yields:
        Nothing; call the client within.

    Raises:
        BucketNotFound: 404.
        StorageForbidden: 401, 403, or no usable credentials.
        StorageUnavailable: 408, 429, 5xx, a lost or refused connection, a stall or an
            altered answer, after the client's retries.
        StorageError: Any other refusal.
    """
    try:
        yield
    except (api.GoogleAPIError, auth.GoogleAuthError, requests.RequestException, DataCorruption) as err:
        raise _translated(uri, permission, err) from err


def _translated(uri: str, permission: str, err: Exception) -> StorageError:
    if isinstance(err, api.NotFound):
        return BucketNotFound(
            f"{uri}: expected an existing bucket, got 404 {_reason(err)}."
            " Create the bucket, or correct its name."
        )
    if isinstance(err, api.Forbidden) and _KEPT.search(_reason(err)):
        return StorageForbidden(
            f"{uri}: expected an object that may be replaced and deleted, got {err.code} {_reason(err)}."
            " Wait until then, or have the retention or the hold lifted."
        )
    if isinstance(err, api.Forbidden | api.Unauthorized):
        return StorageForbidden(
            f"{uri}: expected permission ({permission}), got {err.code} {_reason(err)}."
            " Grant the service account what it lacks, or use other credentials."
        )
    if isinstance(err, _UNAVAILABLE) or getattr(err, "code", None) == _REQUEST_TIMEOUT:
        return StorageUnavailable(
            f"{uri}: expected an answer of the storage, got {_reason(err)} until the retries were used up."
            " See whether it can be reached and try again;"
            f" {STORAGE_TIMEOUT.variable} (seconds) says how long."
        )
    if isinstance(err, auth.GoogleAuthError):
        return StorageForbidden(
            f"{uri}: expected usable credentials, got {_reason(err)}."
            " Set the Airflow connection, or GOOGLE_APPLICATION_CREDENTIALS."
        )
    return StorageError(f"{uri}: the storage refused: {_reason(err)}. Correct the request.")


def _reason(err: BaseException) -> str:
    """The service's own words, or else the innermost cause's, on one line."""
    if said := _said(getattr(err, "response", None)):
        return _on_one_line(said)
    if inner := err.__cause__ or err.__context__:
        return _reason(inner)
    return _on_one_line(str(err) or type(err).__name__)


def _said(response: object) -> str:
    """The message in a refusal of the service; '' if it is none."""
    if not isinstance(response, requests.Response) or response.ok:
        return ""
    try:
        return str(response.json()["error"]["message"])
    # Of an answer that was cut short there is nothing to read, nor of one that was read as it came.
    except (ValueError, KeyError, TypeError, requests.RequestException, RuntimeError):
        return f"{response.status_code} {response.reason}"


def _on_one_line(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= 200 else f"'{line[:197]}…'"
