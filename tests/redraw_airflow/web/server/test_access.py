from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from redraw_airflow.urls import MOUNT
from redraw_airflow.web.app import create_app
from tests.redraw_airflow.web.publications import version_of

# A value for each parameter of an address; a route with another one has to add its own.
VALUES = {
    "model": "mnist",
    "version": str(version_of(14)),
    "other": str(version_of(13)),
    "dag_id": "retrain_and_export",
    "run_id": "silent",
    "task_id": "push",
    "map_index": "-1",
    "name": "report.html",
}
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def routes() -> Iterator[APIRoute]:
    for route in create_app().routes:
        if getattr(route, "name", "") == "static":
            continue  # the style sheet and the scripts are public files
        assert isinstance(route, APIRoute), f"{route}: whose right does it ask for?"
        yield route


ROUTES = list(routes())


def address(route: APIRoute) -> str:
    return MOUNT + route.path.format(**VALUES)


def by_path(route: APIRoute) -> str:
    return f"{'/'.join(sorted(route.methods))} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=by_path)
def test_ask_anonymously_is_refused(route: APIRoute, pages: Any) -> None:
    with pages.client(None) as nobody:
        for method in route.methods:
            headers = {"Sec-Fetch-Site": "same-origin"}
            assert nobody.request(method, address(route), headers=headers).status_code == 401


@pytest.mark.parametrize("route", ROUTES, ids=by_path)
def test_ask_with_a_forged_token_is_refused(route: APIRoute, pages: Any) -> None:
    # The first character of the signature: the last one may carry bits that mean nothing.
    head, _, signature = pages.tokens["viewer"].rpartition(".")
    forged = f"{head}.{'a' if signature[0] != 'a' else 'b'}{signature[1:]}"
    with httpx.Client(base_url=pages.url, cookies={"_token": forged}, trust_env=False) as client:
        for method in route.methods:
            headers = {"Sec-Fetch-Site": "same-origin"}
            assert client.request(method, address(route), headers=headers).status_code in (401, 403)


# Of the version in VALUES nothing but its record is published. All others answer 200.
MISSING = {
    "/models/{model}/{version}/graphs.svg": "'graphs.svg': expected a file that was published",
    "/models/{model}/{version}/attachments/{name}": "'report.html': expected a file that was published",
    "/runs/{dag_id}/{run_id}/{task_id}/{map_index}/attachments/{name}": "expected a file of this task",
    "/runs/{dag_id}/{run_id}/{task_id}/{map_index}/ledger": "expected an export task",
}
# What is expensive, and so for those who may start a DAG that publishes.
EXPENSIVE = {
    "/models/{model}/{version}/beside/{other}/weights": "expected a published version",
    "/models/{model}/{version}/example": "Not Found",
}


@pytest.mark.parametrize("route", [r for r in ROUTES if "GET" in r.methods], ids=by_path)
def test_get_as_viewer_answers(route: APIRoute, viewer: httpx.Client) -> None:
    answer = viewer.get(address(route))

    assert answer.headers["Cache-Control"] == "no-store"
    if route.path in EXPENSIVE:
        assert answer.status_code == 403
        assert "expected the permission to start one of the DAGs" in answer.text
    elif route.path in MISSING:
        assert answer.status_code == 404
        assert MISSING[route.path] in html.unescape(answer.text)
    else:
        assert answer.status_code == (303 if route.path.endswith("/choose") else 200), answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"] or (
        "sandbox" in answer.headers["Content-Security-Policy"]
    )


@pytest.mark.parametrize("path", EXPENSIVE)
def test_get_what_is_expensive_as_one_who_may_start_reaches_the_route(path: str, pages: Any) -> None:
    with pages.client("admin") as admin:
        answer = admin.get(MOUNT + path.format(**VALUES))

    assert answer.status_code == 404
    assert EXPENSIVE[path] in html.unescape(answer.text)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.methods & {"GET"}], ids=by_path)
def test_text_of_an_address_has_a_bound_and_names_no_place(route: APIRoute, viewer: httpx.Client) -> None:
    """The pages' bucket is the configured one: no query parameter changes it."""
    elsewhere = dict.fromkeys(("bucket", "catalogue", "uri", "connection"), "gs://somewhere-else")
    plain, asked = viewer.get(address(route)), viewer.get(address(route), params=elsewhere)
    texts = [field.name for field in route.dependant.query_params if field.field_info.annotation is str]

    assert (asked.status_code, asked.text) == (plain.status_code, plain.text)
    for name in texts:
        assert viewer.get(address(route), params={name: 201 * "a"}).status_code in (403, 422), name


@pytest.mark.parametrize("route", ROUTES, ids=by_path)
def test_change_as_viewer_is_refused(route: APIRoute, viewer: httpx.Client) -> None:
    for method in UNSAFE:
        answer = viewer.request(method, address(route), headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == (403 if method in route.methods else 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://elsewhere.example"},
        {},
    ],
)
@pytest.mark.parametrize("method", UNSAFE)
def test_change_from_another_site_is_refused(method: str, headers: dict[str, str], pages: Any) -> None:
    paths = {address(route) for route in ROUTES}
    with pages.client("admin") as admin:
        for path in paths:
            answer = admin.request(method, path, headers=headers)
            assert answer.status_code == 403
            assert "another site" in answer.text


def test_change_from_these_pages_reaches_the_routes(pages: Any) -> None:
    origin = pages.url
    with pages.client("admin") as admin:
        for headers in ({"Sec-Fetch-Site": "same-origin", "Origin": origin}, {"Origin": origin}):
            # No route of that address takes a POST; but it was a route that said so.
            assert admin.post(f"{MOUNT}/models", headers=headers).status_code == 405


# A run's tab, a task's, and that of one of a mapped task's.
RUNS = ("", "/reexport", "/reexport/0")


@pytest.mark.parametrize("part", RUNS)
def test_ask_for_a_run_needs_the_right_on_its_own_dag(part: str, pages: Any) -> None:
    with pages.client("reexporter") as reexporter:
        own = reexporter.get(f"{MOUNT}/runs/reexport_checkpoints/backfill{part}")
        others = reexporter.get(f"{MOUNT}/runs/of_others/theirs{part}")

    assert own.status_code == 200, own.text
    assert ("a part is missing" in own.text) == (part != "/reexport")
    assert others.status_code == 403, others.text
    assert httpx.get(f"{pages.url}{MOUNT}/runs/of_others/theirs{part}", trust_env=False).status_code == 401


@pytest.mark.parametrize("part", RUNS)
def test_ask_for_a_run_needs_the_right_on_xcoms(part: str, pages: Any) -> None:
    with pages.client("onlooker") as onlooker:
        assert onlooker.get(f"{MOUNT}/models").status_code == 200
        assert onlooker.get(f"{MOUNT}/runs/reexport_checkpoints/backfill{part}").status_code == 403


@pytest.mark.parametrize("route", [r for r in ROUTES if "dag_id" not in r.path], ids=by_path)
def test_ask_for_models_needs_the_right_on_the_dag_that_publishes(route: APIRoute, pages: Any) -> None:
    with pages.client("reexporter") as reexporter:
        for method in route.methods:
            headers = {"Sec-Fetch-Site": "same-origin"}
            assert reexporter.request(method, address(route), headers=headers).status_code == 403


def test_answer_always_carries_the_policy(pages: Any, viewer: httpx.Client) -> None:
    paths = ("/models", "/models/nosuch", "/nowhere", "/static/redraw.css", "/static/nosuch.js")
    answers = [viewer.get(MOUNT + path) for path in paths]
    answers.append(httpx.get(f"{pages.url}{MOUNT}/models", trust_env=False))

    for answer in answers:
        policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == "'self'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kept = [answer.headers.get("Cache-Control") != "no-store" for answer in answers]
    assert kept == [False, False, False, True, True, False]


def test_serve_static_files_leads_nowhere_else(viewer: httpx.Client) -> None:
    for path in (
        "../app.py",
        "%2e%2e/app.py",
        "..%2fapp.py",
        "%2e%2e%2f%2e%2e%2fcredentials.py",
        "//etc/passwd",
    ):
        assert "def create_app" not in viewer.get(f"{MOUNT}/static/{path}").text


def test_answer_a_request_never_blocks_the_event_loop() -> None:
    def waits(endpoint: Callable[..., Any]) -> bool:
        return "await " in inspect.getsource(endpoint)

    blocking = [
        route.path
        for route in ROUTES
        if inspect.iscoroutinefunction(route.endpoint) and not waits(route.endpoint)
    ]
    assert blocking == []
