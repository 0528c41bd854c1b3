"""The connections to Cloud Storage: with credentials, kept open, and enough of them."""

from __future__ import annotations

import os
import urllib.request

from google.auth.credentials import Credentials
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter

__all__ = ["open_session"]

# As many as any part of Redraw uses at once: one more would be closed after each request.
_CONNECTIONS = 32


def open_session(credentials: Credentials) -> AuthorizedSession:
    """A session for many threads at once.

    Args:
        credentials: Whose tokens each request carries.

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
