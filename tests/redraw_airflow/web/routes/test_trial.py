from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI, Request

from redraw.publish.browse import Browser
from redraw.records import Pruned, Release
from redraw.settings import CACHE
from redraw.storage.opening import open_storage
from redraw_airflow.settings import TRY_IT
from redraw_airflow.web import pages
from redraw_airflow.web.app import create_app
from redraw_airflow.web.routes import trial
from redraw_airflow.web.server import access
from redraw_airflow.web.server.access import acting_user, keep_user, reading_user
from redraw_airflow.web.server.buckets import model_browser
from tests.hostile.test_sandbox import LANDLOCK, UNSHARE
from tests.paths import ROOT
from tests.publishing.asked_model import ODD, publish_asked_model, save_asked_model
from tests.redraw_airflow.web.publications import HOSTILE, hostile_release, release_record

_OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory, new_bucket: Callable[[], str]) -> Release:
    """A real model, published in a bucket of its own."""
    folder = tmp_path_factory.mktemp("asked") / "model"
    save_asked_model(folder)
    return publish_asked_model(folder, new_bucket())


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def app(asked: Release, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """The pages of that bucket for a user who may do everything, with trials on."""
    bucket = asked.uri.removesuffix(f"/{asked.model}/{asked.version}")
    monkeypatch.setenv(TRY_IT.variable, "1")
    monkeypatch.setenv(CACHE.variable, str(cache))
    monkeypatch.setenv("REDRAW_WEB_CONNECTION", "shelf")
    shelf = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_SHELF", json.dumps(shelf))
    made = create_app()
    made.dependency_overrides = {
        model_browser: lambda: Browser(open_storage(bucket)),
        acting_user: lambda: None,
        reading_user: lambda: None,
        keep_user: lambda: None,
    }
    before = workers()
    yield made
    assert [worker for worker in workers() if worker not in before] == []


@pytest.fixture
def rights(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which DAGs the user may run; Airflow's own answer needs its database."""
    granted = {"retrain_and_export": True}

    def may_run(_: object, dag_id: str) -> bool:
        return granted.get(dag_id, False)

    monkeypatch.setattr(access, "may_run", may_run)
    monkeypatch.setattr(access, "_publishing_dags", lambda model: ["retrain_and_export"])
    monkeypatch.setitem(pages._TEMPLATES.globals, "may_run", may_run)
    monkeypatch.setenv(TRY_IT.variable, "1")
    return granted


def workers() -> list[list[str]]:
    """The processes that this one has started to answer a request."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            command = child.cmdline()
        except psutil.NoSuchProcess:
            continue
        if {"ask", "examples"} & {*command} or "redraw.serving.worker" in command:
            found.append(command)
    return found


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pages", headers=_OWN)


def post(app: FastAPI, release: Release, content: Any) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def send() -> httpx.Response:
        async with client(app) as sender:
            return await sender.post(place(release), content=body, timeout=120)

    return asyncio.run(send())


def get(app: FastAPI, path: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with client(app) as sender:
            return await sender.get(path)

    return asyncio.run(send())


def place(release: Release) -> str:
    return f"/models/{release.model}/{release.version}/trial"


def test_try_version_answers_with_what_the_model_says(app: FastAPI, asked: Release) -> None:
    answer = post(app, asked, {"signature": "serving_default", "inputs": {"x": [[1, 0]]}})

    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"]["double"] == {"dtype": "float32", "shape": [1, 2], "values": [[2.0, 0.0]]}
    assert answer.json()["outputs"]["inverse"]["values"] == [[1.0, "Infinity"]]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_try_version_passes_bytes_through(app: FastAPI, asked: Release) -> None:
    answer = post(app, asked, {"signature": "words", "inputs": {"word": [{"b64": "iVBORw0KGgo="}, "<b>"]}})

    assert answer.json()["outputs"]["again"]["values"] == [{"b64": "iVBORw0KGgo="}, "<b>"]


def test_try_version_names_of_any_form_are_shown_and_asked(app: FastAPI, asked: Release) -> None:
    shown = get(app, f"/models/{asked.model}/{asked.version}/example").json()["signatures"]["weigh"]
    assert set(shown["inputs"]) == set(shown["example"]) == set(ODD)

    answer = post(app, asked, {"signature": "weigh", "inputs": shown["example"]})

    assert answer.status_code == 200, answer.text
    summed = [float(sum(place * 2**place for place in range(len(ODD))))]
    assert [answer.json()["outputs"][name]["values"] for name in ("sum/all", "class")] == [summed, summed]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[", "expected a JSON object"),
        (b"[" * 100_000, "expected a JSON object"),
        ([], "expected .*signature"),
        ({"inputs": {}}, "expected .*signature"),
        ({"signature": "words", "inputs": "/etc/passwd"}, "expected .*signature"),
        ({"signature": "words", "inputs": {}, "cache": "/etc"}, "expected .*signature"),
        ({"signature": "words", "inputs": {"word": [[1]]}}, "expected string"),
        ({"signature": "nosuch", "inputs": {}}, "expected one of hold, serving_default"),
    ],
)
def test_try_version_with_a_request_that_misfits_says_why(
    app: FastAPI, asked: Release, content: Any, said: str
) -> None:
    answer = post(app, asked, content)

    assert (answer.status_code, answer.json()["error"]) == (400, "InvalidRequest")
    assert re.search(said, answer.json()["detail"])


def test_try_version_with_a_body_too_large_is_refused_unread(app: FastAPI, asked: Release) -> None:
    answer = post(app, asked, b" " * 1_000_001)

    assert answer.status_code == 413
    assert "at most 1000000 bytes" in answer.json()["detail"]


def test_try_version_that_was_never_published_is_not_found(app: FastAPI, asked: Release) -> None:
    elsewhere = dataclasses.replace(asked, version=2020010100000000)
    request = {"signature": "words", "inputs": {"word": ["a"]}}

    assert post(app, elsewhere, request).status_code == 404
    assert get(app, place(elsewhere).replace("trial", "example")).status_code == 404
    # No record can have such a name, so only an address has it.
    hostile: Any = SimpleNamespace(model="..%2f", version=asked.version)
    assert post(app, hostile, request).status_code == 404


def test_try_version_that_does_not_answer_in_time_says_so_and_leaves_nothing(
    app: FastAPI, asked: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_ANSWER_SECONDS", 1.0)

    answer = post(app, asked, {"signature": "spin", "inputs": {"rounds": [2**62]}})

    assert (answer.status_code, answer.json()["error"]) == (422, "NotAnswered")
    assert "no answer within 1 s" in answer.json()["detail"]


def test_try_version_beyond_the_time_of_the_worker_ends_its_process_group(
    app: FastAPI, asked: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_SECONDS", 4.0)

    answer = post(app, asked, {"signature": "spin", "inputs": {"rounds": [2**62]}})

    assert (answer.status_code, answer.json()["error"]) == (504, "WorkerOverran")
    assert "within 4 s" in answer.json()["detail"]


def test_try_version_beyond_its_memory_is_stopped(
    app: FastAPI, asked: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_MEMORY_BYTES", 1_000_000_000)

    modest = post(app, asked, {"signature": "words", "inputs": {"word": ["a"]}})
    answer = post(app, asked, {"signature": "hold", "inputs": {"elements": [200_000_000]}})

    assert modest.status_code == 200
    assert (answer.status_code, answer.json()["error"]) == (504, "WorkerOverran")
    assert "at most 1000000000 bytes of memory" in answer.json()["detail"]


def test_try_version_while_another_is_asked_says_busy_at_once(
    app: FastAPI, asked: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_ANSWER_SECONDS", 4.0)
    slow = {"signature": "spin", "inputs": {"rounds": [2**62]}}
    quick = {"signature": "words", "inputs": {"word": ["a"]}}

    async def crowd() -> tuple[httpx.Response, httpx.Response]:
        async with client(app) as sender:
            first = asyncio.create_task(sender.post(place(asked), json=slow, timeout=120))
            while not trial._trial_lock.locked():  # noqa: ASYNC110 - bounded by the test's own time
                await asyncio.sleep(0.01)
            second = await sender.post(place(asked), json=quick)
            assert not first.done()
            return await first, second

    first, second = asyncio.run(crowd())

    assert (second.status_code, second.json()["error"]) == (429, "WorkersBusy")
    assert first.status_code == 422
    assert post(app, asked, quick).status_code == 200


def test_show_examples_gives_signatures_and_first_requests(app: FastAPI, asked: Release) -> None:
    answer = get(app, place(asked).replace("trial", "example"))

    shown = answer.json()["signatures"]
    assert shown["serving_default"]["example"] == {"x": [[0.1, 2.0]]}
    assert shown["words"]["inputs"] == {"word": {"dtype": "string", "shape": [None]}}


def test_show_examples_where_no_sandbox_is_possible_offers_none(
    app: FastAPI, asked: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    script = f"""#!{sys.executable}
import os, sys
sys.path[:0] = ["{ROOT}", "{ROOT}/tasks"]
from tests.hostile.probe import refuse
refuse([{UNSHARE}, {LANDLOCK}])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
    python.write_text(script)
    python.chmod(0o755)
    monkeypatch.setenv("REDRAW_PYTHON", str(python))

    answer = get(app, place(asked).replace("trial", "example"))

    assert (answer.status_code, answer.json()["error"]) == (422, "NotLoadable")
    assert re.search("cannot load the model safely, .*missing: namespaces", answer.json()["detail"])


def test_show_examples_beyond_the_worker_s_memory_are_refused(
    app: FastAPI, asked: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_EXAMPLES_MEMORY_BYTES", 1_000_000)

    answer = get(app, place(asked).replace("trial", "example"))

    assert (answer.status_code, answer.json()["error"]) == (504, "WorkerOverran")


def test_trials_that_are_not_offered_are_not_found(
    app: FastAPI, asked: Release, rights: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "0", "no"):
        monkeypatch.setenv(TRY_IT.variable, value)
        assert post(app, asked, {"signature": "words", "inputs": {"word": ["a"]}}).status_code == 404
        assert get(app, place(asked).replace("trial", "example")).status_code == 404
        assert shown(asked) == ""


def test_request_box_shows_each_signature_and_nothing_hostile(rights: dict[str, bool]) -> None:
    plain, hostile = release_record("mnist"), hostile_release("mnist", 3)

    assert "<option selected>serving_default</option>\n<option>serving_png</option>" in shown(plain)
    assert f'data-trial="/redraw/models/mnist/{plain.version}"' in shown(plain)
    for text in HOSTILE[:3]:
        assert text not in shown(hostile)


def test_request_box_is_not_shown_to_who_may_not_ask(rights: dict[str, bool]) -> None:
    assert shown(release_record("mnist")) != ""

    rights["retrain_and_export"] = False

    assert shown(release_record("mnist")) == ""


def test_request_box_of_a_pruned_version_is_not_shown(rights: dict[str, bool]) -> None:
    pruned = Pruned(pruned_at="2026-01-01T00:00:00Z", by="ada", reason="old")

    assert shown(dataclasses.replace(release_record("mnist"), pruned=pruned)) == ""


def shown(release: Release) -> str:
    """The request box, as the page of a version includes it."""
    request = Request({"type": "http", "root_path": "/redraw", "path_params": {"model": release.model}})
    page = pages.show_page(
        request, "_trial.html", model=release.model, version=release.version, release=release
    )
    return bytes(page.body).decode().strip()
