"""The files that validation, export and push attach to a version; pages do not trust their content."""

# No postponed annotations: FastAPI evaluates them.

from collections.abc import Iterator
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from redraw.errors import VersionNotFound
from redraw.publish.browse import Browser
from redraw.publish.passport.passport import CARD_NAME, PASSPORT_FILES
from redraw.records import Release
from redraw.records.files import SIGNATURE_FILE
from redraw_airflow.web.routes.versions import ReleaseDep
from redraw_airflow.web.server.buckets import BrowserDep

router = APIRouter()

Theme = Literal["light", "dark"]

# The attachments and their content types.
ATTACHMENTS = {
    "report.html": "text/html; charset=utf-8",
    "graphs.svg": "image/svg+xml; charset=utf-8",
    "graphs.json": "application/json",
    "ledger.json": "application/json",
    "latency.json": "application/json",
    "golden.json": "application/json",
    "metrics.json": "application/json",
    "definition.json": "application/json",
    **dict.fromkeys(PASSPORT_FILES, "application/json"),
    CARD_NAME: "text/plain; charset=utf-8",
    SIGNATURE_FILE: "application/json",
}

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
_DARK = b"@media (prefers-color-scheme: dark)"
_MEDIA: dict[Theme, bytes] = {"dark": b"@media all", "light": b"@media not all"}


@router.get("/models/{model}/{version}/graphs.svg")
def show_picture(browser: BrowserDep, release: ReleaseDep, theme: Theme | None = None) -> Response:
    """The picture of the two graphs, in Airflow's theme, or in the browser's if none is named."""
    picture = b"".join(_parts(browser, release, "graphs.svg"))
    return harmless(in_theme(picture, theme) if theme else picture, "graphs.svg")


@router.get("/models/{model}/{version}/attachments/{name}")
def show_attachment(browser: BrowserDep, release: ReleaseDep, name: str) -> Response:
    """One of the attachments."""
    return harmless(_parts(browser, release, name), name)


def _parts(browser: Browser, release: Release, name: str) -> Iterator[bytes]:
    parts = browser.attachment_parts(release, name) if name in ATTACHMENTS else None
    if parts is None:
        raise VersionNotFound(
            f"{release.model} {release.version}, {name!r}: expected a file that was published with the"
            f" version, found none. Versions of this release of Redraw have {', '.join(ATTACHMENTS)}."
        )
    return parts


def harmless(content: bytes | Iterator[bytes], name: str) -> Response:
    """Answer with an attachment, sandboxed so that it can do no harm.

    Args:
        content: Its bytes, or its parts in order.
        name: One of `ATTACHMENTS`.
    """
    kind, policy = ATTACHMENTS[name], {"Content-Security-Policy": _POLICY}
    if isinstance(content, bytes):
        return Response(content, media_type=kind, headers=policy)
    return StreamingResponse(content, media_type=kind, headers=policy)


def in_theme(picture: bytes, theme: Theme) -> bytes:
    """Fix the theme of validation's picture, because an image in a page follows the browser's theme."""
    return picture.replace(_DARK, _MEDIA[theme])
