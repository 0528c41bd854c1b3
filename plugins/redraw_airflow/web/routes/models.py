"""The models, and one model with its versions."""

# No postponed annotations: FastAPI reads them as they stand here.

import functools
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from redraw.definition.registry import find_model, list_problems
from redraw.errors import InvalidRecord, StorageError
from redraw.publish.browse import Browser, ModelRow
from redraw.publish.version_rows import VersionRow, headline_metric
from redraw.records import LivePointer, Release
from redraw.storage.opening import in_parallel
from redraw_airflow.web.compat import SessionDep
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.routes.versions import ModelDep, Text
from redraw_airflow.web.server.buckets import BrowserDep, CatalogueCounts, CountsDep
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
def show_models(request: Request, session: SessionDep, browser: BrowserDep, counts: CountsDep) -> Response:
    """Every model that has a definition: what is live, its last run, and how it has done."""
    models = browser.models()
    trends = {model.name: _trend(model) for model in models}
    catalogue, failure = _sizes(counts, models)
    return show_page(
        request,
        "models.html",
        models=models,
        problems=list_problems(),
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
    if not versions.total:
        find_model(model)
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
        live=live,
        clients=client_requests(model, live.signatures) if live else (),
        labels=functools.partial(version_labels, pointer),
    )


@router.get("/models/{model}/charts")
def show_charts(request: Request, browser: BrowserDep, model: ModelDep, metric: Text = "") -> Response:
    """A metric and the size of a model's versions, as charts; the model's page fetches it into itself."""
    sample = browser.sample(model, _CHARTED)
    if not sample.total:
        find_model(model)
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


def _sizes(counts: CatalogueCounts, models: tuple[ModelRow, ...]) -> tuple[dict[str, str], str]:
    """How many checkpoints there are of each model, worded; or why nobody can tell."""
    try:
        found = in_parallel(lambda model: counts.of(model.name), models)
    except StorageError as err:
        return {}, str(err)
    return {
        model.name: f"{count.found:,}" if count.complete else f"more than {count.found:,}"
        for model, count in zip(models, found, strict=True)
        if count is not None
    }, ""
