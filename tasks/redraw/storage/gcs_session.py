"""Connections to Cloud Storage: with credentials, kept open, and enough for all threads."""

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
# The most that any part of Redraw uses at once; another connection would be closed after each request.
_CONNECTIONS = 32
_CLIENTS = 32


def open_session(credentials: Credentials) -> AuthorizedSession:
    """A session for many threads at once.

    Returns:
        The session. It reads proxies and certificates from the environment only if there are any, because
        that takes a fifth of the time of each small request.
    """
    session = AuthorizedSession(credentials)
    session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
    certificates = any(name in os.environ for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    session.trust_env = certificates or bool(urllib.request.getproxies())
    return session


def connect(emulator: str | None) -> tuple[storage.Client, AuthorizedSession]:
    """The client, and a session with the same credentials for requests that the client cannot make.

    All buckets of the process with the same credentials share one pair, and its open connections.

    Args:
        emulator: The URL of a server that replaces the service; it needs no credentials, or the token in
            `REDRAW_STORAGE_TOKEN`.
    """
    return _connect(emulator, credentials_scope())


# A changed Airflow connection has another scope; the cache drops the old ones.
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
