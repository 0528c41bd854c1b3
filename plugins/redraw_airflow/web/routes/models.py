"""The models, and one model with its versions."""

# No postponed annotations: FastAPI evaluates them.

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from redraw.definition.registry import FoundModel, find_model, list_models, list_problems
from redraw.errors import InvalidDefinition, StorageError, UnknownModel
from redraw.names import ModelName
from redraw.publish.browse import Browser
from redraw.publish.version_rows import (
    ModelRow,
    VersionRow,
    headline_metric,
    ordered_metrics,
    undescribed_row,
)
from redraw.records import LivePointer, Release
from redraw.storage.opening import in_parallel
from redraw_airflow.settings import PUBLISHING_DAGS
from redraw_airflow.urls import comparison_place, model_place, version_place
from redraw_airflow.web.compat import SessionDep, dag_exists
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.routes.versions import ModelDep, Text
from redraw_airflow.web.server.access import may_read, readable_models, reads_every_model, releasing_dags
from redraw_airflow.web.server.buckets import (
    BrowserDep,
    CatalogueCounts,
    MaybeBrowser,
    MaybeCounts,
)
from redraw_airflow.web.server.read_results import ReadResult, attempt
from redraw_airflow.web.views.charts import Chart, Formatter, Measure, draw_chart, draw_sparkline
from redraw_airflow.web.views.client_requests import client_requests
from redraw_airflow.web.views.formatting import as_bytes, as_figure
from redraw_airflow.web.views.model_list import ORDERS, STATES, ListedModel, find_models, needs_facts
from redraw_airflow.web.views.model_runs import ModelRuns, find_model_runs
from redraw_airflow.web.views.pagination import cut_page
from redraw_airflow.web.views.version_choice import version_labels

router = APIRouter()

_PAGE = 25
# The most versions in a chart; each is a record to read.
_CHARTED = 300
# How many seconds a list that is sorted by published facts waits until all are read.
_PATIENCE = 0.7
# The most metrics with a column in the table of versions; the others are on the versions' pages.
_COLUMNS = 3
_MADE_LIVE = ("live", "rollback")

Version = Annotated[int, Query(ge=0, lt=1 << 63)]


@dataclass(frozen=True, kw_only=True)
class ModelQuery:
    """Which models to list; `find_models` describes the fields."""

    text: Text = ""
    state: Text = ""
    owner: Text = ""
    order: Text = ""
    page: Annotated[int, Query(ge=1)] = 1


@router.get("/models")
def show_models(
    request: Request,
    session: SessionDep,
    browser: MaybeBrowser,
    counts: MaybeCounts,
    query: Annotated[ModelQuery, Depends()],
) -> Response:
    """The page of all models: the live version, the last run and the trend of a metric.

    The page reports what cannot be read, and shows the rest.
    """
    need_all = needs_facts(query.state, query.order) or not reads_every_model(request)
    # A user's rights depend on all releases; sorting can use those that are read in time.
    patience = _PATIENCE if reads_every_model(request) else math.inf
    rows, unread, unreadable = _rows(browser, patience if need_all else None)
    runs = _runs(request, session, rows) if need_all else {}
    rows = readable_models(request, rows, lambda name: runs[name].dags)
    models = [ListedModel(row=row, runs=runs.get(row.name, ModelRuns())) for row in rows]
    listing = cut_page(
        find_models(models, query.text, query.state, query.owner, query.order), len(models), query.page
    )
    parts: Sequence[Callable[[], Any]] = (
        lambda: _refreshed(request, session, browser, listing.rows, runs),
        lambda: _sizes(counts, [model.row for model in listing.rows]),
    )
    (refreshed, problem), (catalogue, failure) = in_parallel(lambda part: part(), parts)
    listing = replace(listing, rows=refreshed)
    return show_page(
        request,
        "models.html",
        listing=listing,
        query=query,
        states=STATES,
        orders=ORDERS,
        owners={"": "all"} | {name: name for name in sorted({row.owner for row in rows} - {""})},
        problems=[*filter(None, [unreadable or problem]), *list_problems()],
        trends={model.row.name: _trend(model.row) for model in listing.rows},
        catalogue=catalogue,
        failure=failure,
        unread=unread,
    )


@router.get("/models/{model}")
def show_model(
    request: Request,
    session: SessionDep,
    browser: BrowserDep,
    model: ModelDep,
    page: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """A model's page: the live version and its clients' requests, the versions, and the pointer's history."""
    pointer, problem = browser.pointer(model)
    versions = browser.versions(model, offset=(page - 1) * _PAGE, limit=_PAGE)
    live = _live(browser, pointer)
    definition, definition_problem = _definition(model, published=bool(versions.total))
    runs = _runs_of(request, session, {model: versions.rows})[model]
    dags = list(filter(dag_exists, (*PUBLISHING_DAGS.read(), *sorted(runs.dags))))
    return show_page(
        request,
        "model.html",
        model=model,
        definition=definition,
        page=page,
        pages=-(-versions.total // _PAGE),
        versions=versions,
        metrics=ordered_metrics(versions.rows, definition.metrics)[:_COLUMNS],
        pointer=pointer,
        problem=problem or live.problem,
        definition_problem=definition_problem,
        live=live.content,
        runs=runs,
        dag=next(iter(dags), None),
        clients=client_requests(model, live.content.signatures) if live.content else (),
        labels=functools.partial(version_labels, pointer),
    )


@router.get("/models/{model}/choose")
def choose_versions(
    request: Request, model: ModelDep, version: Annotated[list[Version] | None, Query(max_length=100)] = None
) -> Response:
    """Redirect to the comparison of the two selected versions, or to the only one."""
    selected = sorted(set(version or ()), reverse=True)
    place = model_place(model) if not selected else version_place(model, selected[0])
    if len(selected) > 1:
        place = comparison_place(model, selected[0], selected[1])
    return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{place}", status_code=303)


@router.get("/models/{model}/charts")
def show_charts(request: Request, browser: BrowserDep, model: ModelDep, metric: Text = "") -> Response:
    """Charts of a metric and of the size of a model's versions, which the model's page embeds."""
    sample = browser.sample(model, _CHARTED)
    definition, _ = _definition(model, published=bool(sample.total))
    metrics = ordered_metrics(sample.rows, definition.metrics)
    metrics += sorted({name for row in sample.rows for name in row.metrics} - set(metrics))
    charted_metric = metric if metric in metrics else next(iter(metrics), None)
    pointer, _ = browser.pointer(model)
    been_live = {change.version for change in pointer.history if change.kind in _MADE_LIVE}

    def draw(measure: Measure, format_value: Formatter) -> Chart | None:
        return draw_chart(sample.rows, measure, format_value, been_live | {pointer.version})

    return show_page(
        request,
        "charts.html",
        model=model,
        metrics=metrics,
        metric=charted_metric,
        metric_chart=draw(lambda row: row.metrics.get(charted_metric or ""), as_figure),
        size_chart=draw(lambda row: row.size_bytes, as_bytes),
        sample=sample,
        live=pointer.version,
    )


def _runs_of(
    request: Request, session: SessionDep, versions: Mapping[str, Sequence[VersionRow]]
) -> Mapping[str, ModelRuns]:
    """The runs of models that Airflow knows and the user may see."""
    publishers = {model: {*PUBLISHING_DAGS.read(), *releasing_dags(rows)} for model, rows in versions.items()}
    return find_model_runs(session, publishers, functools.partial(may_read, request))


def _runs(request: Request, session: SessionDep, rows: Sequence[ModelRow]) -> Mapping[str, ModelRuns]:
    return _runs_of(request, session, {row.name: row.recent for row in rows})


def _rows(browser: ReadResult[Browser], patience: float | None) -> tuple[Sequence[ModelRow], int, str]:
    """The models in the order of the list, how many are not read yet, and the problem if reading failed.

    Args:
        browser: The bucket's browser.
        patience: How long to read each model's releases, in seconds; None: only check if there are any.
    """
    problem, bucket = browser.problem, browser.content
    if bucket is not None:
        try:
            if patience is not None:
                return *bucket.known_models(patience), ""
            parts: Sequence[Callable[[], Any]] = (list_models, bucket.published)
            models, published = in_parallel(lambda part: part(), parts)
            rows = map(undescribed_row, models)
            return sorted(rows, key=lambda row: (row.name not in published, row.name)), 0, ""
        except StorageError as err:
            problem = str(err)
    return [*map(undescribed_row, list_models())], 0, f"The published versions cannot be read: {problem}"


def _refreshed(
    request: Request,
    session: SessionDep,
    browser: ReadResult[Browser],
    models: Sequence[ListedModel],
    runs: Mapping[str, ModelRuns],
) -> tuple[Sequence[ListedModel], str]:
    """The current state of a page's models in the bucket and in Airflow's database, and a problem.

    Args:
        request: The request.
        session: A session of Airflow's database.
        browser: The bucket's browser.
        models: The models, which may be outdated.
        runs: The current runs of every model; empty if only those of the page's models are needed.
    """
    rows, problem = [model.row for model in models], ""
    before = [releasing_dags(row.recent) for row in rows]
    if browser.content is not None:
        try:
            rows = browser.content.rows(rows)
        except StorageError as err:
            problem = f"The published versions cannot be read: {err}"
    # Other DAGs may have published meanwhile; their runs count, too.
    if not runs or before != [releasing_dags(row.recent) for row in rows]:
        runs = _runs(request, session, rows)
    return [ListedModel(row=row, runs=runs[row.name]) for row in rows], problem


def _definition(model: ModelName, *, published: bool) -> tuple[FoundModel, str]:
    """A model's definition, and why it cannot be used; an empty one if it was removed.

    Raises:
        UnknownModel: There is neither a definition nor a published version of the model.
    """
    nothing = FoundModel(name=model, module="")
    try:
        return find_model(model), ""
    except InvalidDefinition as err:
        return nothing, str(err)
    except UnknownModel:
        if not published:
            raise
    return nothing, ""


def _live(browser: Browser, pointer: LivePointer) -> ReadResult[Release]:
    """The record of the live version, or why it cannot be read."""
    version = pointer.version
    return attempt(lambda: None if version is None else browser.listed_release(pointer.model, version))


def _trend(model: ModelRow) -> tuple[str, Chart] | None:
    """The headline metric of a model, and its course over the last versions."""
    name = headline_metric(model.recent, model.metrics)
    if name is None:
        return None

    def measure(row: VersionRow) -> float | None:
        return row.metrics.get(name)

    chart = draw_sparkline(model.recent, measure, as_figure)
    return None if chart is None else (name, chart)


def _sizes(counts: ReadResult[CatalogueCounts], models: Sequence[ModelRow]) -> tuple[dict[str, str], str]:
    """The number of checkpoints of each model as text, or why they cannot be counted."""
    count = counts.content
    if count is None:
        return {}, counts.problem
    try:
        totals = in_parallel(lambda model: count.of(model.name), models)
    except StorageError as err:
        return {}, str(err)
    return {
        model.name: f"{size.found:,}" if size.complete else f"more than {size.found:,}"
        for model, size in zip(models, totals, strict=True)
        if size is not None
    }, ""
