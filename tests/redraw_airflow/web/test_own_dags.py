"""An Airflow without the DAGs that ship: somebody's own, of Redraw's functions, is all that there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from redraw.records.failure import StageFailure
from redraw.storage.opening import open_storage
from redraw_airflow.urls import MOUNT
from tests.redraw_airflow.web.page_server import Pages, run_pages
from tests.redraw_airflow.web.publications import pointer_record, publish, release_record, version_of
from tests.redraw_airflow.web.test_pages import Reader, read

DAG = "our_chain"
_FAILURE = StageFailure(
    model="mnist",
    stage="validate",
    error="ValidationFailed",
    message="loss: 0.9, at most 0.5",
    retryable=False,
)
_NEVER = replace(_FAILURE, model="recommender", error="InvalidCheckpoint", message="a part is missing")


def _run(run_id: str, state: str, **xcoms: Any) -> dict[str, Any]:
    # A TaskFlow DAG has no form: its runs say nothing of a model.
    tasks = [{"task_id": task, "state": state, "xcoms": left} for task, left in xcoms.items()]
    return {"dag_id": DAG, "run_id": run_id, "state": state, "tasks": tasks}


@pytest.fixture(scope="module")
def own(
    gcs_server: str, new_bucket: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pages]:
    """The server: two models have been tried by the DAG, and one of them was published."""
    bucket = new_bucket()
    releases = [release_record("mnist", day) for day in range(2)]
    of_dag = [replace(one, provenance=replace(one.provenance, dag_run=f"{DAG}/good")) for one in releases]
    elsewhere = replace(release_record("digits_graph", 0))
    publish(open_storage(bucket), of_dag, pointer_record("mnist", 1))
    publish(open_storage(bucket), [elsewhere])
    runs = [
        _run("good", "success", push={"return_value": of_dag[1].to_json()}),
        # As a worker writes an XCom: JSON in a text of JSON.
        _run("bad", "failed", validate={"failure": json.dumps(_FAILURE.to_json())}),
        _run("worse", "failed", checkpoint={"failure": _NEVER.to_json()}),
    ]
    variables = {
        "AIRFLOW_CONN_SHELF": json.dumps(
            {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
        ),
        "REDRAW_WEB_CONNECTION": "shelf",
        "STORAGE_EMULATOR_HOST": gcs_server,
        "REDRAW_MODEL_BUCKET": bucket,
        "DAGS_OF_TESTS": DAG,
    }
    with run_pages(tmp_path_factory.mktemp("own"), variables, runs) as running:
        yield running


@pytest.fixture
def author(own: Pages) -> Iterator[httpx.Client]:
    """A browser of the DAG's author, who has rights on no other."""
    with own.client("author") as client:
        yield client


def _buttons(page: Reader) -> list[str]:
    return [values["data-action"] for _, values in page.elements if "data-action" in values]


@pytest.mark.parametrize("user", ["author", "admin", "viewer"])
def test_show_models_finds_the_runs_and_failures_of_ones_own_dag(user: str, own: Pages) -> None:
    with own.client(user) as client:
        page = read(client, "/models")

    assert sorted(page.links("/dags/")) == [f"/dags/{DAG}/runs/bad", f"/dags/{DAG}/runs/worse"]
    assert "ValidationFailed : loss: 0.9, at most 0.5" in page.text
    assert "InvalidCheckpoint : a part is missing" in page.text


def test_show_models_leaves_out_what_other_dags_publish(author: httpx.Client) -> None:
    page = author.get(f"{MOUNT}/models").text

    assert 'href="/redraw/models/mnist"' in page
    assert 'href="/redraw/models/digits_graph"' not in page


def test_show_model_of_ones_own_dag_says_why_its_last_run_failed(author: httpx.Client) -> None:
    page = read(author, "/models/mnist")

    assert f"A run of {DAG} failed. ValidationFailed : loss: 0.9, at most 0.5" in page.text
    assert f"/dags/{DAG}/runs/bad" in page.links("/dags/")
    assert f"/dags/{DAG}/runs/good" in page.links("/dags/")  # who published each version


@pytest.mark.parametrize("path", ["/models/mnist", f"/models/mnist/{version_of(0)}"])
def test_offer_actions_without_their_dags_has_no_buttons(path: str, own: Pages) -> None:
    with own.client("admin") as admin:
        page = read(admin, path)

    assert _buttons(page) == []
    assert "retrain_and_export" not in page.text


def test_show_version_follows_the_rights_of_the_dag_that_published_the_model(author: httpx.Client) -> None:
    version = version_of(0)

    assert author.get(f"{MOUNT}/models/mnist/{version}").status_code == 200
    assert author.get(f"{MOUNT}/models/digits_graph/{version}").status_code == 403
    assert author.get(f"{MOUNT}/models/digits_graph").status_code == 403
    # Who may start the DAG may have a worker compare the weights, of which this bucket has none.
    weights = f"/beside/{version_of(1)}/weights"
    assert author.get(f"{MOUNT}/models/mnist/{version}{weights}").status_code == 404


def test_list_models_is_refused_to_who_may_read_none_of_their_dags(own: Pages) -> None:
    with own.client("reexporter") as reexporter:
        assert reexporter.get(f"{MOUNT}/models").status_code == 403
