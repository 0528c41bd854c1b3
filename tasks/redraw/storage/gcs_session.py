"""The connections to Cloud Storage: with credentials, kept open, and enough of them."""

from __future__ import annotations

import functools
import os
import urllib.request

import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage  # noqa: TID253 - only gs:// URIs load this module
from google.oauth2.credentials import Credentials as TokenCredentials
from requests.adapters import HTTPAdapter

from redraw.compat.storage import client_over
from redraw.settings import STORAGE_TOKEN
from redraw.storage.credentials import billed_project, credentials_scope, storage_credentials

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
# As many as any part of Redraw uses at once: one more would be closed after each request.
_CONNECTIONS = 32
_CLIENTS = 32


def open_session(credentials: Credentials) -> AuthorizedSession:
    """A session for many threads at once.

    Returns:
        The session. It looks for proxies and certificates in the environment where that names
        any; to look again for each request takes a fifth of a small one's time.
    """
    session = AuthorizedSession(credentials)
    session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    certificates = any(name in os.environ for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    session.trust_env = certificates or bool(urllib.request.getproxies())
    return session


def connect(emulator: str | None) -> tuple[storage.Client, AuthorizedSession]:
    """The client, and a session with the same credentials for the requests it cannot make.

    One pair for all buckets of the process that have the same credentials: they share connections, which
    are kept open.

    Args:
        emulator: The URL of a server that stands in for the service; it asks for no credentials, or
            for the token in `REDRAW_STORAGE_TOKEN`.
    """
    return _connect(emulator, credentials_scope())


# A connection that is changed has another scope: those of the past are forgotten.
@functools.lru_cache(_CLIENTS)
def _connect(emulator: str | None, scope: str) -> tuple[storage.Client, AuthorizedSession]:
    credentials = storage_credentials()
    if credentials is None and emulator:
        token = STORAGE_TOKEN.read()
        credentials = TokenCredentials(token) if token else AnonymousCredentials()
    if credentials is None:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    session = open_session(credentials)
    if project := billed_project():
        session.params = {"userProject": project}
    return client_over(session, credentials), session
