"""What validation and export left to look at, as files; a page shows them without trusting them."""

# No postponed annotations: FastAPI reads them as they stand here.

from fastapi import APIRouter, Response

from redraw.errors import VersionNotFound
from redraw.names import check_model_name
from redraw.publish.browse import Browser
from redraw_airflow.web.routes.pictures import ATTACHMENTS, Theme, harmless, in_theme
from redraw_airflow.web.routes.versions import VersionNumber
from redraw_airflow.web.server.buckets import BrowserDep

__all__ = ["router"]

router = APIRouter()


@router.get("/models/{model}/{version}/graphs.svg")
def show_picture(
    browser: BrowserDep, model: str, version: VersionNumber, theme: Theme | None = None
) -> Response:
    """The picture of the two graphs, in Airflow's theme or, without one, in the browser's."""
    picture = _read(browser, model, version, "graphs.svg")
    return harmless(in_theme(picture, theme) if theme else picture, "graphs.svg")


@router.get("/models/{model}/{version}/attachments/{name}")
def show_attachment(browser: BrowserDep, model: str, version: VersionNumber, name: str) -> Response:
    """One of the files."""
    return harmless(_read(browser, model, version, name), name)


def _read(browser: Browser, model: str, version: int, name: str) -> bytes:
    check_model_name(model)
    content = browser.attachment(model, version, name) if name in ATTACHMENTS else None
    if content is None:
        raise VersionNotFound(
            f"{model} {version}, {name!r}: expected something that is kept beside the version, got nothing."
            f" Kept are, of newer versions, {', '.join(ATTACHMENTS)}."
        )
    return content
