"""One version: where it came from, what was found of it, and what it consists of."""

# No postponed annotations: FastAPI reads them as they stand here.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from redraw.web.buckets import BrowserDep
from redraw.web.graph_parts import read_graphs
from redraw.web.kept import read_kept
from redraw.web.latency_rows import read_latency
from redraw.web.ledger_rows import find_rows, read_ledger
from redraw.web.object_links import folder_url, object_url
from redraw.web.pages import show_page
from redraw.web.places import comparison_place, run_place, version_place
from redraw.web.signature_changes import compare_signatures
from redraw.web.version_choice import VersionChoice, offer_versions
from redraw.web.version_labels import version_labels
from tasks.browse import Browser
from tasks.errors import VersionNotFound
from tasks.listed_file import ListedFile
from tasks.names import check_model_name
from tasks.records import Check, LivePointer, Release
from tasks.version_rows import row_of

__all__ = ["Text", "VersionNumber", "router"]

router = APIRouter()

VersionNumber = Annotated[int, Path(ge=0, lt=1 << 63)]
Text = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, kw_only=True)
class CheckFilter:
    """Which checks to show: those of a state, or all, that have a text in them."""

    state: str
    text: str

    def find(self, checks: Sequence[Check]) -> list[Check]:
        """The checks that fit, those that failed first."""
        found = [check for check in checks if self._fits(check)]
        return sorted(found, key=lambda check: ("failed", "not_run", "passed").index(check.status))

    def _fits(self, check: Check) -> bool:
        if self.state and self.state not in (check.status, "waived" if check.waived else ""):
            return False
        searched = f"{check.name} {check.looked_at} {check.expected} {check.found} {check.advice}"
        return all(word in searched.casefold() for word in self.text.casefold().split())


def _check_filter(state: Text = "", text: Text = "") -> CheckFilter:
    return CheckFilter(state=state, text=text)


@router.get("/models/{model}/{version}")
def show_version(
    request: Request,
    browser: BrowserDep,
    checks: Annotated[CheckFilter, Depends(_check_filter)],
    model: str,
    version: VersionNumber,
    against: int | None = None,
) -> Response:
    """A version's page."""
    release = browser.release(check_model_name(model), version)
    pointer = browser.pointer(model)
    choice = offer_versions(browser, pointer, release, against)
    return show_page(
        request,
        "version.html",
        **_facts(release, pointer, choice),
        checks=checks.find(release.report.checks),
        check_filter=checks,
        files=_files(browser, release),
        graphs=read_kept(browser, release, "graphs.json", read_graphs),
        ledger=read_kept(browser, release, "ledger.json", lambda content: find_rows(read_ledger(content))),
        latency=read_kept(browser, release, "latency.json", read_latency),
        signatures=_signatures(browser, release, choice.other),
        text="",
        fate="",
    )


@router.get("/models/{model}/{version}/ledger")
def show_ledger(
    request: Request,
    browser: BrowserDep,
    model: str,
    version: VersionNumber,
    text: Text = "",
    fate: Text = "",
    page: Annotated[int, Query(ge=1)] = 1,
) -> Response:
    """Where each tensor of the checkpoint went: searched, a page at a time."""
    release = browser.release(check_model_name(model), version)
    ledger = read_kept(
        browser, release, "ledger.json", lambda content: find_rows(read_ledger(content), text, fate, page)
    )
    return show_page(
        request, "ledger.html", model=model, version=version, ledger=ledger, text=text, fate=fate
    )


@router.get("/models/{model}/{version}/choose")
def choose_version(
    request: Request,
    model: str,
    version: VersionNumber,
    other: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
    show: Literal["beside", "alone"] = "alone",
) -> Response:
    """Lead to the version that was chosen in a form, or to the two beside each other."""
    check_model_name(model)
    if other is None:
        place = version_place(model, version)
    else:
        beside = show == "beside"
        place = comparison_place(model, version, other) if beside else version_place(model, other)
    return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}{place}", status_code=303)


def _facts(release: Release, pointer: LivePointer, choice: VersionChoice) -> Mapping[str, Any]:
    """What stands at the top of the page, and what its partial templates are given."""
    dag, _, run = (release.provenance.dag_run or "").partition("/")
    return {
        "model": release.model,
        "version": release.version,
        "release": release,
        "pointer": pointer,
        "labels": version_labels(pointer, row_of(release)),
        "history": [change for change in pointer.history if change.version == release.version][::-1],
        "choice": choice,
        "dag_run": run_place(dag, run) if dag and run else "",
        "folder_link": folder_url(release.uri),
        "checkpoint_link": folder_url(release.checkpoint.uri),
    }


def _files(browser: Browser, release: Release) -> Sequence[tuple[ListedFile, str]] | None:
    """The files of the manifest, each with where to look at it; None where it is not kept."""
    try:
        manifest = browser.claim(release.model, release.version).manifest
    except VersionNotFound:
        return None
    return [
        (file, "" if release.pruned else object_url(f"{release.uri.rstrip('/')}/{file.name}"))
        for file in manifest
    ]


def _signatures(browser: Browser, release: Release, other: int | None) -> Sequence[Any]:
    there = browser.release(release.model, other).signatures if other is not None else release.signatures
    return compare_signatures(release.signatures, there)
