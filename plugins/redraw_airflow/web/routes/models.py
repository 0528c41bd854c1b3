"""The models, and one model with its versions."""

# No postponed annotations: FastAPI reads them as they stand here.

import functools
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from redraw.definition.registry import find_model, list_models, list_problems
from redraw.errors import InvalidDefinition, InvalidRecord, StorageError, UnknownModel
from redraw.names import ModelName
from redraw.publish.browse import Browser, ModelRow, undescribed_row
from redraw.publish.version_rows import VersionRow, headline_metric
from redraw.records import LivePointer, Release
from redraw.storage.opening import in_parallel
from redraw_airflow.web.compat import SessionDep
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.routes.versions import ModelDep, Text
from redraw_airflow.web.server.buckets import (
    BrowserDep,
    CatalogueCounts,
    Reached,
    ReachedBrowser,
    ReachedCounts,
)
from redraw_airflow.web.views.charts import Chart, draw_chart, draw_sparkline
from redraw_airflow.web.views.client_requests import client_requests
from redraw_airflow.web.views.formatting import as_bytes, as_figure
from redraw_airflow.web.views.last_runs import find_last_runs
from redraw_airflow.web.views.version_choice import version_labels

__all__ = ["router"]

router = APIRouter()

_PAGE = 25
# As many as a chart has room for, and no more records to read.
_CHARTED = 300


@router.get("/models")
def show_models(
    request: Request, session: SessionDep, browser: ReachedBrowser, counts: ReachedCounts
) -> Response:
    """Every model that has a definition: what is live, its last run, and how it has done.

    What cannot be read is reported on the page, and the rest of it is shown.
    """
    models, unreadable = _rows(browser)
    trends = {model.name: _trend(model) for model in models}
    catalogue, failure = _sizes(counts, models)
    return show_page(
        request,
        "models.html",
        models=models,
        problems=[*filter(None, [unreadable]), *list_problems()],
        trends=trends,
        runs=find_last_runs(session, [model.name for model in models]),
        catalogue=catalogue,
        failure=failure,
    )


@router.get("/models/{model}")
def show_model(
    request: Request, browser: BrowserDep, model: ModelDep, page: Annotated[int, Query(ge=1)] = 1
) -> Response:
    """A model: what is live and how to ask it, its versions a page at a time, and who moved the pointer."""
    versions = browser.versions(model, offset=(page - 1) * _PAGE, limit=_PAGE)
    definition_problem = _definition_problem(model, published=bool(versions.total))
    pointer, problem = browser.pointer(model)
    live, unreadable = _live(browser, pointer)
    return show_page(
        request,
        "model.html",
        model=model,
        page=page,
        pages=-(-versions.total // _PAGE),
        versions=versions,
        metric=headline_metric(versions.rows),
        pointer=pointer,
        problem=problem or unreadable,
        definition_problem=definition_problem,
        live=live,
        clients=client_requests(model, live.signatures) if live else (),
        labels=functools.partial(version_labels, pointer),
    )


@router.get("/models/{model}/charts")
def show_charts(request: Request, browser: BrowserDep, model: ModelDep, metric: Text = "") -> Response:
    """A metric and the size of a model's versions, as charts; the model's page fetches it into itself."""
    sample = browser.sample(model, _CHARTED)
    _definition_problem(model, published=bool(sample.total))
    metrics = sorted({name for row in sample.rows for name in row.metrics})
    shown = metric if metric in metrics else headline_metric(sample.rows)
    return show_page(
        request,
        "charts.html",
        model=model,
        metrics=metrics,
        metric=shown,
        metric_chart=draw_chart(sample.rows, lambda row: row.metrics.get(shown or ""), as_figure),
        size_chart=draw_chart(sample.rows, lambda row: row.size_bytes, as_bytes),
        sample=sample,
        live=browser.pointer(model)[0].version,
    )


def _rows(browser: Reached[Browser]) -> tuple[tuple[ModelRow, ...], str]:
    """The models; and why no more is known of them than their definitions say, if so."""
    problem = browser.problem
    if browser.found is not None:
        try:
            return browser.found.models(), ""
        except StorageError as err:
            problem = str(err)
    return tuple(map(undescribed_row, list_models())), f"What is published cannot be read: {problem}"


def _definition_problem(model: ModelName, *, published: bool) -> str:
    """Why a model's definition cannot be used; empty if it can, or if there is none of what is published.

    Raises:
        UnknownModel: Nobody defines the model, and nothing of it is published.
    """
    try:
        find_model(model)
    except InvalidDefinition as err:
        return str(err)
    except UnknownModel:
        if not published:
            raise
    return ""


def _live(browser: Browser, pointer: LivePointer) -> tuple[Release | None, str]:
    """The record of the live version, or why it cannot be read."""
    if pointer.version is None:
        return None, ""
    try:
        return browser.release(pointer.model, pointer.version), ""
    except InvalidRecord as err:
        return None, str(err)


def _trend(model: ModelRow) -> tuple[str, Chart] | None:
    """The metric that stands for a model, and its course over the last versions."""
    name = headline_metric(model.recent)
    if name is None:
        return None

    def measure(row: VersionRow) -> float | None:
        return row.metrics.get(name)

    chart = draw_sparkline(model.recent, measure, as_figure)
    return None if chart is None else (name, chart)


def _sizes(counts: Reached[CatalogueCounts], models: tuple[ModelRow, ...]) -> tuple[dict[str, str], str]:
    """How many checkpoints there are of each model, worded; or why nobody can tell."""
    count = counts.found
    if count is None:
        return {}, counts.problem
    try:
        found = in_parallel(lambda model: count.of(model.name), models)
    except StorageError as err:
        return {}, str(err)
    return {
        model.name: f"{size.found:,}" if size.complete else f"more than {size.found:,}"
        for model, size in zip(models, found, strict=True)
        if size is not None
    }, ""
