"""Files of a bucket that a browser opens: shown, and able to do nothing.

Whoever may write to the bucket can put a page or a picture with a script there. The policy takes
its scripts, its requests and its origin, whether it is opened by itself or stands in a page.
"""

from __future__ import annotations

from typing import Literal

from fastapi import Response

__all__ = ["ATTACHMENTS", "Theme", "harmless", "in_theme"]

Theme = Literal["light", "dark"]

# What validation and export leave to look at, and what it is.
ATTACHMENTS = {
    "report.html": "text/html; charset=utf-8",
    "graphs.svg": "image/svg+xml; charset=utf-8",
    "graphs.json": "application/json",
    "ledger.json": "application/json",
    "latency.json": "application/json",
}

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
_DARK = b"@media (prefers-color-scheme: dark)"
_MEDIA: dict[Theme, bytes] = {"dark": b"@media all", "light": b"@media not all"}


def harmless(content: bytes, name: str) -> Response:
    """An attachment as an answer.

    Args:
        content: Its bytes.
        name: One of `ATTACHMENTS`.
    """
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "private, max-age=300"}
    return Response(content, media_type=ATTACHMENTS[name], headers=headers)


def in_theme(picture: bytes, theme: Theme) -> bytes:
    """Validation's picture in one theme: an image within a page follows the browser's, not Airflow's."""
    return picture.replace(_DARK, _MEDIA[theme])
