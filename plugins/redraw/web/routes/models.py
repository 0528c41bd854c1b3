"""The models, and one model with its versions."""

# No postponed annotations: FastAPI reads them as they stand here.

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from redraw.web.buckets import model_browser
from redraw.web.pages import show_page
from tasks.browse import Browser
from tasks.names import check_model_name

__all__ = ["router"]

router = APIRouter()
_PAGE = 50

BrowserDep = Annotated[Browser, Depends(model_browser)]


@router.get("/models")
def show_models(request: Request, browser: BrowserDep) -> Response:
    """Every model that has a definition, and which version of it is live."""
    return show_page(request, "models.html", models=browser.models())


@router.get("/models/{model}")
def show_model(
    request: Request, browser: BrowserDep, model: str, page: Annotated[int, Query(ge=1)] = 1
) -> Response:
    """A model's versions, a page at a time."""
    check_model_name(model)
    versions = browser.versions(model, offset=(page - 1) * _PAGE, limit=_PAGE)
    return show_page(
        request,
        "model.html",
        model=model,
        page=page,
        pages=-(-versions.total // _PAGE),
        versions=versions,
        pointer=browser.pointer(model),
    )
