"""What an installed Redraw has to do in the oldest and in the newest Airflow that it works with."""

from __future__ import annotations

import os

import pytest
from packaging.version import Version

from redraw.publish.releases import list_releases
from redraw.requests import ReleasesRequest
from redraw_airflow.urls import MOUNT, model_place, version_place
from tests.redraw_airflow.web.page_server import Pages
from tests.versions.installed import DAGS, MODEL, UV, Release, Run, call, locked_airflow

pytestmark = pytest.mark.versions


def test_install_under_the_release_s_versions_is_consistent(release: Release) -> None:
    call(UV, "pip", "check", "--python", os.fspath(release.python))

    program = "from importlib.metadata import version; print(version('apache-airflow'))"
    assert Version(release.run("-c", program).stdout) == locked_airflow(release.lock)


def test_airflow_lists_the_provider_and_the_plugin(release: Release) -> None:
    providers = {provider["package_name"] for provider in release.listed("providers", "list")}
    plugins = {plugin["name"]: plugin for plugin in release.listed("plugins")}

    assert "airflow-provider-redraw" in providers
    assert "airflow-provider-redraw" in plugins["redraw"]["source"]
    assert MOUNT in str(plugins["redraw"]["fastapi_apps"])


def test_dags_of_users_with_a_tasks_module_of_their_own_are_imported_without_errors(release: Release) -> None:
    release.run("-m", "airflow", "dags", "reserialize")

    assert release.listed("dags", "list-import-errors") == []
    assert {dag["dag_id"] for dag in release.listed("dags", "list")} == set(DAGS)


def test_run_publishes_a_version(run: Run) -> None:
    states = {name: task["state"] for name, task in run.outcome["tasks"].items()}
    pushed = run.outcome["xcoms"]["push.return_value"]
    (listed,) = list_releases(ReleasesRequest(model=MODEL, bucket=run.bucket)).releases

    assert (states.pop("approve"), states.pop("confirm_rollout")) == ("skipped", "skipped")
    assert set(states.values()) == {"success"}
    assert (listed.version, listed.digest) == (pushed["version"], pushed["digest"])
    assert "redraw_releases" in {event["asset"] for event in run.outcome["events"]}


def test_models_page_lists_what_the_run_has_published(pages: Pages, run: Run) -> None:
    version = str(run.outcome["xcoms"]["push.return_value"]["version"])
    with pages.client("viewer") as viewer:
        models, model = viewer.get(f"{MOUNT}/models"), viewer.get(MOUNT + model_place(MODEL))

    assert (models.status_code, model.status_code) == (200, 200)
    assert version in models.text
    assert version in model.text


def test_tab_of_the_run_shows_its_records(pages: Pages, run: Run) -> None:
    digest = run.outcome["xcoms"]["push.return_value"]["digest"]
    with pages.client("viewer") as viewer:
        tab = viewer.get(f"{MOUNT}/runs/retrain_and_export/{run.outcome['run_id']}")

    assert tab.status_code == 200
    assert digest[:12] in tab.text


def test_pages_ask_airflow_who_may_see_and_act(pages: Pages, run: Run) -> None:
    address = MOUNT + version_place(MODEL, run.outcome["xcoms"]["push.return_value"]["version"])
    with pages.client(None) as nobody, pages.client("viewer") as viewer, pages.client("admin") as admin:
        refused, seen, offered = (browser.get(address) for browser in (nobody, viewer, admin))

    assert refused.status_code == 401
    assert (seen.status_code, offered.status_code) == (200, 200)
    # Its buttons start runs.
    assert "data-dag=" not in seen.text
    assert "data-dag=" in offered.text
