"""The comparison of two versions: metrics, answers, signatures, graphs and weights."""

# No postponed annotations: FastAPI evaluates them.

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
from redraw_airflow.web.server.read_results import ReadResult, read_attachment
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
    """The computed weight differences of pairs of versions, as a dependency of the routes."""
    return WeightChanges()


def _other_release(browser: BrowserDep, model: ModelDep, other: str) -> Release:
    return browser.release(model, check_version_number(other))


def _saved_names(browser: BrowserDep, release: ReleaseDep) -> Mapping[str, str]:
    """A variable's key in the SavedModel to its name in the network, if the version has its ledger."""
    rows = read_attachment(browser, release, "ledger.json", read_ledger).content or ()
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
    request: Request,
    browser: BrowserDep,
    here: ReleaseDep,
    there: Annotated[Release, Depends(_other_release)],
) -> Response:
    """The page that compares two versions."""
    pair = (here, there)
    parts: Sequence[Callable[[], Any]] = (
        lambda: browser.pointer(here.model),
        *(
            functools.partial(read_attachment, browser, release, "latency.json", read_latency)
            for release in pair
        ),
        *(
            functools.partial(read_attachment, browser, release, "graphs.json", read_graphs)
            for release in pair
        ),
        lambda: find_answers(browser, here, there),
        # Fill the cache for the next request.
        lambda: browser.numbers(here.model),
    )
    (pointer, problem), *latencies, graphs, other_graphs, answers, _ = in_parallel(lambda part: part(), parts)
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
        signatures=ReadResult(content=compare_signatures(here.signatures, there.signatures)),
        graphs=_operations(graphs, other_graphs),
    )


# Only users who may start runs: a worker reads two models.
@router.get("/models/{model}/{version}/beside/{other}/weights", dependencies=[Depends(acting_user)])
def show_weights(
    request: Request,
    names: Annotated[Mapping[str, str], Depends(_saved_names)],
    differences: Annotated[WeightDifferences, Depends(_weight_differences)],
    text: Text = "",
    page: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """The differences between the weights of two versions; a worker computes them at the first request."""
    return show_page(
        request,
        "weights.html",
        model=differences.model,
        version=differences.version,
        other=differences.other,
        differences=differences,
        weights=find_weights(differences, names, text, page),
        text=text,
    )


def _operations(here: ReadResult[Graphs], there: ReadResult[Graphs]) -> ReadResult[RowPage[OperationRow]]:
    """The differences between the serving graphs; only the first page is shown."""
    if here.content is None or there.content is None:
        return ReadResult(problem=here.problem or there.problem)
    rows = differing_operations(here.content, there.content)
    return ReadResult(content=cut_page(rows, len(rows), 1))
