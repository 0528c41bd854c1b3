from __future__ import annotations

import html
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from airflow.api_fastapi import app as airflow_app
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi import Request

from redraw.records import LivePointer, Pruned
from redraw_airflow.dags.forms import mark_form, prune_form, reexport_form, retrain_form, roll_back_form
from redraw_airflow.urls import MOUNT
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.server import access
from redraw_airflow.web.views.actions import Action, possible_actions
from tests.redraw_airflow.deciding import RELEASE, VERSION
from tests.redraw_airflow.web.page_server import Pages
from tests.redraw_airflow.web.publications import version_of

NEWER, OLDER = VERSION + 100, VERSION - 100
FORMS = {
    "mark_version": mark_form,
    "prune_versions": prune_form,
    "reexport_checkpoints": reexport_form,
    "retrain_and_export": retrain_form,
    "retrain_mnist": retrain_form,
    "roll_back_model": roll_back_form,
}


def pointer(version: int | None, previous: int | None = None, **more: Any) -> LivePointer:
    return LivePointer(model="mnist", version=version, previous=previous, **more)


def names(*arguments: Any) -> list[str]:
    return list(dict.fromkeys(action.name for action in possible_actions("mnist", *arguments)))


def test_train_is_offered_by_the_own_dag_of_a_model_before_those_for_every_model() -> None:
    training = [
        action.dag for action in possible_actions("mnist", None, pointer(None)) if action.name == "train"
    ]
    assert training == ["retrain_mnist", "retrain_and_export"]


@pytest.mark.parametrize(
    ("version", "standing", "expected"),
    [
        (None, pointer(None), ["train", "prune"]),
        (None, pointer(NEWER, OLDER), ["train", "roll-back", "prune"]),
        (None, pointer(NEWER, OLDER, pruning=(OLDER,)), ["train", "prune"]),
        (None, pointer(OLDER, NEWER, rejected={str(NEWER): "ada: wrong"}), ["train", "prune"]),
        (VERSION, pointer(None), ["make-live", "pin"]),
        (VERSION, pointer(VERSION), ["pin"]),
        (VERSION, pointer(VERSION, OLDER), ["roll-back", "pin"]),
        (VERSION, pointer(NEWER), ["make-live", "canary", "pin"]),
        (VERSION, pointer(NEWER, labels={"canary": VERSION}), ["make-live", "uncanary", "pin"]),
        (VERSION, pointer(NEWER, pinned={str(VERSION): "why"}), ["make-live", "canary", "unpin"]),
        (VERSION, pointer(NEWER, pruning=(VERSION,)), []),
    ],
)
def test_possible_actions_are_those_that_would_change_something(
    version: int | None, standing: LivePointer, expected: list[str]
) -> None:
    assert names(version, standing) == expected


def test_possible_actions_of_a_pruned_version_are_none() -> None:
    gone = replace(RELEASE, pruned=Pruned(pruned_at="2026-03-01T00:00:00Z", by="ada", reason="keep 1"))

    assert names(VERSION, pointer(NEWER), gone) == []
    assert names(VERSION, pointer(NEWER), RELEASE) == ["make-live", "canary", "pin", "export-again"]


def test_make_live_of_older_weights_says_so_and_hands_the_reason_over_twice() -> None:
    older, newer = (possible_actions("mnist", VERSION, pointer(live))[0] for live in (NEWER, OLDER))

    assert "older" in older.effect
    assert older.reasons == ("reason", "allow_older")
    assert "older" not in newer.effect
    assert newer.reasons == ("reason",)


def test_make_live_of_a_rejected_version_says_so_and_hands_the_reason_over() -> None:
    standing = pointer(OLDER, NEWER, rejected={str(NEWER): "ada: misreads sevens"})
    action = possible_actions("mnist", NEWER, standing)[0]

    assert "It was rejected: ada: misreads sevens." in action.effect
    assert action.reasons == ("reason", "allow_rejected")


def test_roll_back_means_the_version_that_the_dialog_names_whatever_others_do_meanwhile() -> None:
    action = possible_actions("mnist", None, pointer(NEWER, OLDER), trains=False)[0]

    assert f"from {NEWER} to {OLDER}" in action.effect
    assert action.conf == {"model": "mnist", "version": OLDER}
    assert action.reasons == ("reason", "allow_older")
    # After a roll-back the version before is a newer one.
    assert possible_actions("mnist", None, pointer(OLDER, NEWER), trains=False)[0].reasons == ("reason",)


def test_export_again_asks_for_the_day_that_the_checkpoint_was_trained_on() -> None:
    action = possible_actions("mnist", VERSION, pointer(VERSION), RELEASE)[-1]

    assert action.conf == {
        "model": "mnist",
        "steps": [1000],
        "trained_from": "2026-01-31",
        "trained_to": "2026-02-01",
    }


def every_action() -> Iterator[Action]:
    yield from possible_actions("mnist", None, pointer(NEWER, OLDER))
    yield from possible_actions("mnist", VERSION, pointer(NEWER), RELEASE)
    marked = pointer(NEWER, labels={"canary": VERSION}, pinned={str(VERSION): "why"})
    yield from possible_actions("mnist", VERSION, marked)


@pytest.mark.parametrize("action", list(every_action()), ids=lambda action: action.name)
def test_action_asks_its_dag_for_what_the_form_of_it_accepts(action: Action) -> None:
    form = FORMS[action.dag]()
    given = {
        **action.conf,
        **{field.name: False if field.kind == "boolean" else field.value for field in action.fields},
        **dict.fromkeys(action.reasons, "why"),
    }

    for name, value in given.items():
        assert form[name].resolve(value) == value


@pytest.fixture
def request_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the request of a user of a role, as Airflow's own simple auth manager knows them."""
    monkeypatch.setattr(airflow_app._AuthManagerState, "instance", None)
    # No database here: that a DAG exists is asked of a real one below.
    monkeypatch.setattr(access, "dag_exists", lambda dag_id: True)
    airflow_app.create_auth_manager()

    def make(role: str | None) -> Request:
        scope = {"type": "http", "method": "GET", "path": "/", "root_path": "/redraw", "headers": []}
        request = Request(scope)
        if role:
            request.state.redraw_user = SimpleAuthManagerUser(username="ada", role=role)
        return request

    return make


def shown(request: Request, **values: Any) -> str:
    values = {"model": "mnist", "version": None, "pointer": pointer(NEWER, OLDER), **values}
    return bytes(show_page(request, "_actions.html", **values).body).decode()


@pytest.mark.parametrize(
    ("role", "offered"), [(None, False), ("viewer", False), ("user", True), ("admin", True)]
)
def test_actions_are_shown_to_those_who_may_trigger(request_of: Any, role: str | None, offered: bool) -> None:
    page = shown(request_of(role))

    assert ("data-action" in page) is offered
    assert ("<form" in page) is offered


def test_actions_of_a_hostile_name_are_escaped_and_reach_the_script_whole(request_of: Any) -> None:
    hostile = "\"><script>alert(1)</script>&quot;'"

    page = shown(request_of("admin"), model=hostile)

    assert "<script>alert" not in page
    confs = [json.loads(html.unescape(found)) for found in re.findall(r'data-conf="([^"]*)"', page)]
    assert [conf["model"] for conf in confs] == [hostile, hostile, hostile]


def test_actions_without_a_script_lead_to_their_dags(request_of: Any) -> None:
    page = shown(request_of("user"), version=VERSION)

    assert re.findall(r'data-outer data-action="([^"]+)" href="([^"]+)"', page) == [
        ("make-live", "/dags/roll_back_model"),
        ("canary", "/dags/mark_version"),
        ("pin", "/dags/mark_version"),
    ]
    assert not re.search(r"\son\w+=|\sstyle=", page)


def test_actions_start_the_dags_that_are_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_ROLL_BACK_DAG", "our_roll_back")
    monkeypatch.setenv("REDRAW_PRUNE_DAG", "no id of a DAG")
    monkeypatch.setenv("REDRAW_PUBLISHING_DAGS", "our_first,our_second")

    actions = possible_actions("mnist", None, pointer(NEWER, OLDER))

    # The one whose setting is wrong is missing, and the other one is there all the same.
    assert [(action.name, action.dag) for action in actions] == [
        ("train", "retrain_mnist"),
        ("train", "our_first"),
        ("train", "our_second"),
        ("roll-back", "our_roll_back"),
    ]


def test_action_of_a_dag_that_this_airflow_has_not_is_not_offered(pages: Pages) -> None:
    address = f"{MOUNT}/models/mnist/{version_of(13)}"
    with pages.client("admin") as admin:
        assert "/dags/mark_version" in admin.get(address).text
        with sqlite3.connect(pages.home / "airflow.db") as database:
            database.execute("UPDATE dag SET is_stale = 1 WHERE dag_id = 'mark_version'")
        try:
            page = admin.get(address).text
        finally:
            with sqlite3.connect(pages.home / "airflow.db") as database:
                database.execute("UPDATE dag SET is_stale = 0 WHERE dag_id = 'mark_version'")

    assert "/dags/mark_version" not in page
    assert "/dags/roll_back_model" in page
