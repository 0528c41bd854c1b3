"""A version's page: its origin, its validation and its content."""

# No postponed annotations: FastAPI evaluates them.

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from redraw.definition.registry import find_model
from redraw.errors import InvalidDefinition, UnknownModel, VersionNotFound
from redraw.names import ModelName
from redraw.publish.browse import Browser
from redraw.publish.passport.passport import PASSPORT_FILES
from redraw.publish.rollouts import read_rollout
from redraw.publish.version_rows import ordered_metrics, row_of
from redraw.records import Check, LivePointer, Release
from redraw.records.attachments import (
    DESCRIPTION_NAME,
    METRICS_NAME,
    read_description,
    read_latency,
    read_measured,
)
from redraw.records.files import SIGNATURE_FILE, ListedFile
from redraw.storage.opening import in_parallel
from redraw_airflow.urls import comparison_place, folder_url, object_url, run_place, version_place
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.server.buckets import BrowserDep
from redraw_airflow.web.server.read_results import ReadResult, attempt, read_attachment
from redraw_airflow.web.views.graph_parts import read_graphs
from redraw_airflow.web.views.ledger_rows import LedgerRow, find_rows, read_ledger
from redraw_airflow.web.views.metric_changes import MetricRow, compare_metrics
from redraw_airflow.web.views.pagination import RowPage, has_words
from redraw_airflow.web.views.signature_changes import compare_signatures
from redraw_airflow.web.views.version_choice import VersionChoice, offer_versions, version_labels

router = APIRouter()

Text = Annotated[str, Query(max_length=200)]

_DIGITS = 19  # the length of the largest int64


def check_version_number(version: str) -> int:
    """Parse the number of a version in an address.

    Raises:
        VersionNotFound: It is not a number.
    """
    if not (version.isascii() and version.isdecimal() and len(version) <= _DIGITS):
        raise VersionNotFound(
            f"{version[:40]!r}: expected a version number, got another text. Correct the address."
        )
    return int(version)


def parse_model(model: str) -> ModelName:
    """Parse the model's name in an address.

    Raises:
        InvalidName: No model has such a name.
    """
    return ModelName(model)


ModelDep = Annotated[ModelName, Depends(parse_model)]
VersionNumber = Annotated[int, Depends(check_version_number)]


@dataclass(frozen=True, kw_only=True)
class CheckFilter:
    """Which checks to show: those of a state, or all, that contain a text."""

    state: Text = ""
    text: Text = ""

    def find(self, checks: Sequence[Check]) -> list[Check]:
        """The checks that match, failed ones first."""
        matching = [check for check in checks if self._matches(check)]
        return sorted(matching, key=lambda check: ("failed", "not_run", "passed").index(check.status))

    def _matches(self, check: Check) -> bool:
        if self.state and self.state not in (check.status, "waived" if check.waived else ""):
            return False
        return has_words(self.text, check.name, check.looked_at, check.expected, check.found, check.advice)


@dataclass(frozen=True, kw_only=True)
class LedgerQuery:
    """Which rows of the ledger to show; `find_rows` describes the fields."""

    text: Text = ""
    fate: Text = ""
    page: Annotated[int, Query(ge=1)] = 1


def _release(browser: BrowserDep, model: ModelDep, version: VersionNumber) -> Release:
    return browser.release(model, version)


ReleaseDep = Annotated[Release, Depends(_release)]


@router.get("/models/{model}/{version}")
def show_version(
    request: Request,
    browser: BrowserDep,
    release: ReleaseDep,
    checks: Annotated[CheckFilter, Depends()],
    against: int | None = None,
) -> Response:
    """A version's page; it reads each object once, all in parallel."""
    parts = _read_parts(browser, release)
    (pointer, problem), files, graphs, ledger, latency, measured, description, rollout = parts
    choice = offer_versions(browser, pointer, release, against)
    chosen = choice.other
    other = attempt(lambda: None if chosen is None else browser.release(release.model, chosen))
    return show_page(
        request,
        "version.html",
        **_facts(release, pointer, choice),
        problem=problem,
        checks=checks.find(release.report.checks),
        check_filter=checks,
        files=files,
        graphs=graphs,
        ledger=ledger,
        query=LedgerQuery(),
        latency=latency,
        measured=measured,
        rollout=rollout,
        description=description,
        passport=[name for name in (*PASSPORT_FILES, SIGNATURE_FILE) if name in release.attachments],
        metrics=_metrics(release, other.content),
        compared=None if other.content is None else other.content.version,
        signatures=ReadResult(
            content=compare_signatures(release.signatures, (other.content or release).signatures),
            problem=other.problem,
        ),
    )


@router.get("/models/{model}/{version}/ledger")
def show_ledger(
    request: Request, browser: BrowserDep, release: ReleaseDep, query: Annotated[LedgerQuery, Depends()]
) -> Response:
    """A page of the restore ledger, which says where each tensor of the checkpoint went."""
    return show_page(
        request,
        "ledger.html",
        subject=f"{release.model} {release.version}",
        model=release.model,
        version=release.version,
        ledger=_ledger(browser, release, query),
        query=query,
    )


@router.get("/models/{model}/{version}/choose")
def choose_version(
    request: Request,
    model: ModelDep,
    version: VersionNumber,
    other: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
    show: Literal["beside", "alone"] = "alone",
) -> Response:
    """Redirect to the version that was chosen in a form, or to the comparison with it."""
    if other is None:
        place = version_place(model, version)
    else:
        compare = show == "beside"
        place = comparison_place(model, version, other) if compare else version_place(model, other)
    return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{place}", status_code=303)


def _facts(release: Release, pointer: LivePointer, choice: VersionChoice) -> Mapping[str, Any]:
    """The values for the top of the page and for its partial templates."""
    dag, _, run = (release.provenance.dag_run or "").partition("/")
    return {
        "model": release.model,
        "version": release.version,
        "release": release,
        "pointer": pointer,
        "labels": version_labels(pointer, row_of(release)),
        "row": row_of(release),
        "history": [change for change in pointer.history if change.version == release.version][::-1],
        "choice": choice,
        "dag_run": run_place(dag, run) if dag and run else "",
        "folder_link": folder_url(release.uri),
        "checkpoint_link": folder_url(release.checkpoint.uri),
    }


def _ledger(browser: Browser, release: Release, query: LedgerQuery) -> ReadResult[RowPage[LedgerRow]]:
    def find(content: bytes) -> RowPage[LedgerRow]:
        return find_rows(read_ledger(content), query.text, query.fate, query.page)

    return read_attachment(browser, release, "ledger.json", find)


def _files(browser: Browser, release: Release) -> ReadResult[Sequence[tuple[ListedFile, str]]]:
    """The files of the manifest, each with its URL; None if the manifest does not exist."""

    def read() -> Sequence[tuple[ListedFile, str]] | None:
        try:
            manifest = browser.claim(release.model, release.version).manifest
        except VersionNotFound:
            return None
        return [(file, "" if release.pruned else object_url(release.uri / file.name)) for file in manifest]

    return attempt(read)


def _read_parts(browser: Browser, release: Release) -> list[Any]:
    """The pointer, and a version's files, graphs, ledger, latency, metrics, card and rollout."""
    parts: Sequence[Callable[[], Any]] = (
        lambda: browser.pointer(release.model),
        lambda: _files(browser, release),
        lambda: read_attachment(browser, release, "graphs.json", read_graphs),
        lambda: _ledger(browser, release, LedgerQuery()),
        lambda: read_attachment(browser, release, "latency.json", read_latency),
        lambda: read_attachment(browser, release, METRICS_NAME, read_measured),
        lambda: read_attachment(browser, release, DESCRIPTION_NAME, read_description),
        lambda: attempt(lambda: read_rollout(browser.storage, release.model, release.version)),
        # Fill the cache for the next request.
        lambda: browser.numbers(release.model),
    )
    return list(in_parallel(lambda part: part(), parts))[:-1]


def _metrics(release: Release, other: Release | None) -> Sequence[MetricRow]:
    """The version's metrics next to the other's, the headline metric first."""
    try:
        bounded = find_model(release.model).metrics
    except (InvalidDefinition, UnknownModel):
        bounded = ()
    order = ordered_metrics([row_of(release)], bounded)
    rows = compare_metrics(release.checkpoint, (other or release).checkpoint)
    return sorted(rows, key=lambda row: order.index(row.name) if row.name in order else len(order))
