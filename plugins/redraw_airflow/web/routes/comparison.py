"""Two versions next to each other: metrics, answers, signatures, graphs and weights."""

# No postponed annotations: FastAPI reads them as they stand here.

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from redraw.publish.version_rows import row_of
from redraw.records import Release
from redraw.records.attachments import read_latency
from redraw.records.results import WeightDifferences
from redraw.requests import DifferencesRequest
from redraw.storage.opening import in_parallel
from redraw.uri import BucketUri
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.routes.versions import ModelDep, ReleaseDep, Text, VersionNumber, check_version_number
from redraw_airflow.web.server.access import acting_user
from redraw_airflow.web.server.buckets import BrowserDep
from redraw_airflow.web.server.kept import Kept, read_kept
from redraw_airflow.web.views.answer_changes import find_answers
from redraw_airflow.web.views.graph_parts import Graphs, OperationRow, differing_operations, read_graphs
from redraw_airflow.web.views.ledger_rows import read_ledger
from redraw_airflow.web.views.metric_changes import compare_metrics
from redraw_airflow.web.views.pagination import RowPage, cut_page
from redraw_airflow.web.views.signature_changes import compare_signatures
from redraw_airflow.web.views.version_choice import offer_versions, version_labels
from redraw_airflow.web.views.weight_changes import WeightChanges, find_weights

router = APIRouter()


@functools.cache
def weight_changes() -> WeightChanges:
    """What was worked out of pairs of versions, as a dependency of the routes."""
    return WeightChanges()


def _other(browser: BrowserDep, model: ModelDep, other: str) -> Release:
    return browser.release(model, check_version_number(other))


def _saved_names(browser: BrowserDep, release: ReleaseDep) -> Mapping[str, str]:
    """Key in the SavedModel to what the network calls it, where the version's ledger is kept."""
    rows = read_kept(browser, release, "ledger.json", read_ledger).content or ()
    return {row.saved_as: row.variable for row in rows if row.saved_as}


async def _weight_differences(
    browser: BrowserDep,
    changes: Annotated[WeightChanges, Depends(weight_changes)],
    model: ModelDep,
    version: VersionNumber,
    other: str,
) -> WeightDifferences:
    pair = DifferencesRequest(
        model=model,
        bucket=BucketUri(browser.storage.uri),
        version=version,
        other=check_version_number(other),
    )
    return await changes.find(pair)


@router.get("/models/{model}/{version}/beside/{other}")
def show_comparison(
    request: Request, browser: BrowserDep, here: ReleaseDep, there: Annotated[Release, Depends(_other)]
) -> Response:
    """The page of two versions."""
    pair = (here, there)
    parts: Sequence[Callable[[], Any]] = (
        lambda: browser.pointer(here.model),
        *(functools.partial(read_kept, browser, release, "latency.json", read_latency) for release in pair),
        *(functools.partial(read_kept, browser, release, "graphs.json", read_graphs) for release in pair),
        lambda: find_answers(browser, here, there),
        # Kept for a moment, for those who ask next.
        lambda: browser.numbers(here.model),
    )
    (pointer, problem), *latencies, one, two, answers, _ = in_parallel(lambda part: part(), parts)
    return show_page(
        request,
        "comparison.html",
        model=here.model,
        version=here.version,
        other=there.version,
        pair=pair,
        problem=problem,
        labels=[version_labels(pointer, row_of(release)) for release in pair],
        choice=offer_versions(browser, pointer, here, there.version),
        metrics=compare_metrics(here.checkpoint, there.checkpoint),
        latencies=latencies,
        answers=answers,
        signatures=Kept(content=compare_signatures(here.signatures, there.signatures)),
        graphs=_operations(one, two),
    )


# A worker reads two models: that is for those who may start runs.
@router.get("/models/{model}/{version}/beside/{other}/weights", dependencies=[Depends(acting_user)])
def show_weights(
    request: Request,
    names: Annotated[Mapping[str, str], Depends(_saved_names)],
    found: Annotated[WeightDifferences, Depends(_weight_differences)],
    text: Text = "",
    page: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """How far the weights of two versions are apart: the first who asks has a worker find out."""
    return show_page(
        request,
        "weights.html",
        model=found.model,
        version=found.version,
        other=found.other,
        found=found,
        weights=find_weights(found, names, text, page),
        text=text,
    )


def _operations(here: Kept[Graphs], there: Kept[Graphs]) -> Kept[RowPage[OperationRow]]:
    """What differs between the serving graphs; the first page of it says it all, or there is too much."""
    if here.content is None or there.content is None:
        return Kept(problem=here.problem or there.problem)
    rows = differing_operations(here.content, there.content)
    return Kept(content=cut_page(rows, len(rows), 1))
