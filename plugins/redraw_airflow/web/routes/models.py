"""The models, and one model with its versions."""

# No postponed annotations: FastAPI reads them as they stand here.

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
    ReachedBrowser,
    ReachedCounts,
)
from redraw_airflow.web.server.kept import Kept, attempt
from redraw_airflow.web.views.charts import Chart, Measure, Wording, draw_chart, draw_sparkline
from redraw_airflow.web.views.client_requests import client_requests
from redraw_airflow.web.views.formatting import as_bytes, as_figure
from redraw_airflow.web.views.model_list import ORDERS, STATES, ListedModel, find_models, needs_facts
from redraw_airflow.web.views.model_runs import ModelRuns, find_model_runs
from redraw_airflow.web.views.pagination import cut_page
from redraw_airflow.web.views.version_choice import version_labels

router = APIRouter()

_PAGE = 25
# As many as a chart has room for, and no more records to read.
_CHARTED = 300
# In seconds: what a list that is sorted by what is published waits for all of it.
_PATIENCE = 0.7
# Metrics that a table of versions has a column of; the others are on the versions' pages.
_COLUMNS = 3
_MADE_LIVE = ("live", "rollback")

Version = Annotated[int, Query(ge=0, lt=1 << 63)]


@dataclass(frozen=True, kw_only=True)
class ModelQuery:
    """Which models to list, as `find_models` has it."""

    text: Text = ""
    state: Text = ""
    owner: Text = ""
    order: Text = ""
    page: Annotated[int, Query(ge=1)] = 1


@router.get("/models")
def show_models(
    request: Request,
    session: SessionDep,
    browser: ReachedBrowser,
    counts: ReachedCounts,
    query: Annotated[ModelQuery, Depends()],
) -> Response:
    """Every model that has a definition: what is live, its last run, and how it has done.

    What cannot be read is reported on the page, and the rest of it is shown.
    """
    every = needs_facts(query.state, query.order) or not reads_every_model(request)
    # Rights are judged by all that is published; an order can be of what is read by then.
    patience = _PATIENCE if reads_every_model(request) else math.inf
    rows, unread, unreadable = _rows(browser, patience if every else None)
    runs = _runs(request, session, rows) if every else {}
    rows = readable_models(request, rows, lambda name: runs[name].dags)
    models = [ListedModel(row=row, runs=runs.get(row.name, ModelRuns())) for row in rows]
    found = cut_page(
        find_models(models, query.text, query.state, query.owner, query.order), len(models), query.page
    )
    parts: Sequence[Callable[[], Any]] = (
        lambda: _as_they_are(request, session, browser, found.rows, runs),
        lambda: _sizes(counts, [model.row for model in found.rows]),
    )
    (shown, problem), (catalogue, failure) = in_parallel(lambda part: part(), parts)
    found = replace(found, rows=shown)
    return show_page(
        request,
        "models.html",
        found=found,
        query=query,
        states=STATES,
        orders=ORDERS,
        owners={"": "all"} | {name: name for name in sorted({row.owner for row in rows} - {""})},
        problems=[*filter(None, [unreadable or problem]), *list_problems()],
        trends={model.row.name: _trend(model.row) for model in found.rows},
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
    """A model: what is live and how to ask it, its versions a page at a time, and who moved the pointer."""
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
    """Lead to the two versions that were ticked, next to each other; to one that is the only one ticked."""
    ticked = sorted(set(version or ()), reverse=True)
    place = model_place(model) if not ticked else version_place(model, ticked[0])
    if len(ticked) > 1:
        place = comparison_place(model, ticked[0], ticked[1])
    return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{place}", status_code=303)


@router.get("/models/{model}/charts")
def show_charts(request: Request, browser: BrowserDep, model: ModelDep, metric: Text = "") -> Response:
    """A metric and the size of a model's versions, as charts; the model's page fetches it into itself."""
    sample = browser.sample(model, _CHARTED)
    definition, _ = _definition(model, published=bool(sample.total))
    metrics = ordered_metrics(sample.rows, definition.metrics)
    metrics += sorted({name for row in sample.rows for name in row.metrics} - set(metrics))
    shown = metric if metric in metrics else next(iter(metrics), None)
    pointer, _ = browser.pointer(model)
    been_live = {change.version for change in pointer.history if change.kind in _MADE_LIVE}

    def draw(measure: Measure, wording: Wording) -> Chart | None:
        return draw_chart(sample.rows, measure, wording, been_live | {pointer.version})

    return show_page(
        request,
        "charts.html",
        model=model,
        metrics=metrics,
        metric=shown,
        metric_chart=draw(lambda row: row.metrics.get(shown or ""), as_figure),
        size_chart=draw(lambda row: row.size_bytes, as_bytes),
        sample=sample,
        live=pointer.version,
    )


def _runs_of(
    request: Request, session: SessionDep, versions: Mapping[str, Sequence[VersionRow]]
) -> Mapping[str, ModelRuns]:
    """What Airflow knows of models, as far as who asks may know it."""
    publishers = {model: {*PUBLISHING_DAGS.read(), *releasing_dags(rows)} for model, rows in versions.items()}
    return find_model_runs(session, publishers, functools.partial(may_read, request))


def _runs(request: Request, session: SessionDep, rows: Sequence[ModelRow]) -> Mapping[str, ModelRuns]:
    return _runs_of(request, session, {row.name: row.recent for row in rows})


def _rows(browser: Kept[Browser], patience: float | None) -> tuple[Sequence[ModelRow], int, str]:
    """The models in the order of the list, how many are not read yet, and why no more is known of them.

    Args:
        browser: The bucket's.
        patience: How long to read what is published of each, in seconds; None: only whether anything is.
    """
    problem, found = browser.problem, browser.content
    if found is not None:
        try:
            if patience is not None:
                return *found.known_models(patience), ""
            parts: Sequence[Callable[[], Any]] = (list_models, found.published)
            models, published = in_parallel(lambda part: part(), parts)
            rows = map(undescribed_row, models)
            return sorted(rows, key=lambda row: (row.name not in published, row.name)), 0, ""
        except StorageError as err:
            problem = str(err)
    return [*map(undescribed_row, list_models())], 0, f"The published versions cannot be read: {problem}"


def _as_they_are(
    request: Request,
    session: SessionDep,
    browser: Kept[Browser],
    models: Sequence[ListedModel],
    runs: Mapping[str, ModelRuns],
) -> tuple[Sequence[ListedModel], str]:
    """The models of a page, as the bucket and Airflow's database know them now; and what cannot be read.

    Args:
        request: What is answered.
        session: Of Airflow's database.
        browser: The bucket's.
        models: What is known of them.
        runs: What was just found of every model; nothing if only those of the page are looked for.
    """
    rows, problem = [model.row for model in models], ""
    before = [releasing_dags(row.recent) for row in rows]
    if browser.content is not None:
        try:
            rows = browser.content.rows(rows)
        except StorageError as err:
            problem = f"The published versions cannot be read: {err}"
    # Another DAG that publishes may have had more runs.
    if not runs or before != [releasing_dags(row.recent) for row in rows]:
        runs = _runs(request, session, rows)
    return [ListedModel(row=row, runs=runs[row.name]) for row in rows], problem


def _definition(model: ModelName, *, published: bool) -> tuple[FoundModel, str]:
    """What a model's definition says, and why it cannot be used, if so; nothing of one that is gone.

    Raises:
        UnknownModel: Nobody defines the model, and nothing of it is published.
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


def _live(browser: Browser, pointer: LivePointer) -> Kept[Release]:
    """The record of the live version, or why it cannot be read."""
    version = pointer.version
    return attempt(lambda: None if version is None else browser.listed_release(pointer.model, version))


def _trend(model: ModelRow) -> tuple[str, Chart] | None:
    """The metric that stands for a model, and its course over the last versions."""
    name = headline_metric(model.recent, model.metrics)
    if name is None:
        return None

    def measure(row: VersionRow) -> float | None:
        return row.metrics.get(name)

    chart = draw_sparkline(model.recent, measure, as_figure)
    return None if chart is None else (name, chart)


def _sizes(counts: Kept[CatalogueCounts], models: Sequence[ModelRow]) -> tuple[dict[str, str], str]:
    """How many checkpoints there are of each model, worded; or why nobody can tell."""
    count = counts.content
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
