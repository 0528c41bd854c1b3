"""What the pages of models show where definitions are broken, or the buckets cannot be read: never a 500."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from fastapi.testclient import TestClient

from redraw_airflow.dags.forms import reexport_form, retrain_form, roll_back_form
from redraw_airflow.web import pages
from redraw_airflow.web.app import create_app
from redraw_airflow.web.routes import models
from redraw_airflow.web.server import access
from redraw_airflow.web.server.access import keep_user, reading_user
from redraw_airflow.web.views.model_runs import ModelRuns

GOOD = '"""A good one."""\nfrom redraw.definition import ModelDefinition\n'
BROKEN = {
    "unclosed": "def (:\n",
    "computed": f'{GOOD}class Computed(ModelDefinition):\n    approval = len("a") == 1\n',
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages that both have `twice`, one with broken definitions, and one that is missing."""
    first = {"good": GOOD, "twice": GOOD, **BROKEN}
    for package, modules in {"our_first": first, "our_other": {"twice": GOOD}}.items():
        (tmp_path / package).mkdir()
        for name, text in {"__init__": "", **modules}.items():
            (tmp_path / package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", "our_first,our_other,our_missing")


@pytest.fixture
def client(packages: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The pages for a user who may look; Airflow's database is left out."""
    monkeypatch.setattr(access, "may_run", lambda *_: False)
    monkeypatch.setitem(pages._TEMPLATES.globals, "may_run", lambda *_: False)
    monkeypatch.setattr(access, "may_read", lambda *_: True)
    monkeypatch.setattr(models, "dag_exists", lambda _: True)
    monkeypatch.setattr(models, "find_model_runs", lambda *_: defaultdict(ModelRuns))
    app = create_app()
    app.dependency_overrides = dict.fromkeys((reading_user, keep_user, _get_session), lambda: None)
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "REDRAW_MODEL_BUCKET: expected gs://BUCKET"),
        ({"REDRAW_MODEL_BUCKET": "models"}, "REDRAW_MODEL_BUCKET: expected gs://BUCKET"),
        ({"REDRAW_MODEL_BUCKET": "gs://redraw-no-such-bucket"}, "redraw-no-such-bucket"),
        ({"REDRAW_MODEL_BUCKET": "gs://redraw-no-such-bucket", "REDRAW_CHECKPOINTS": "gs://A"}, "gs://A"),
    ],
    ids=str,
)
def test_show_models_lists_them_whatever_is_broken(
    variables: dict[str, str],
    problem: str,
    client: TestClient,
    gcs_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("REDRAW_MODEL_BUCKET", "REDRAW_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    answer = client.get("/models")

    assert answer.status_code == 200
    assert problem in answer.text
    for said in (
        "A good one.",
        "our_first.unclosed: the file cannot be read",
        "expected one definition, got two",
    ):
        assert said in answer.text
    assert "our_missing" in answer.text
    assert "approval" in answer.text


@pytest.mark.parametrize("model", ["computed", "unclosed", "twice"])
@pytest.mark.parametrize("page", ["", "/charts"])
def test_show_model_whose_definition_is_broken_says_why(
    model: str, page: str, client: TestClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", bucket)

    answer = client.get(f"/models/{model}{page}")

    assert answer.status_code == 200
    assert page or "The definition cannot be used" in answer.text
    assert client.get("/models/nobody").status_code == 404


def test_forms_offer_what_can_be_used_and_say_why_the_rest_cannot(packages: None) -> None:
    for form in (retrain_form, reexport_form):
        field = form()["model"]
        assert set(field.schema["enum"]) - {None} == {"good"}
        for said in ("cannot be used: module our_first.unclosed", "got two", "our_missing", "approval"):
            assert said in field.schema["description_md"]


@pytest.mark.parametrize("listed", ["our_missing", "our_first,our_other,our_missing", "no package!"])
def test_roll_back_form_takes_any_model_whatever_is_broken(
    listed: str, packages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_MODELS", listed)
    monkeypatch.setenv("REDRAW_MODEL_BUCKET", "no bucket")

    form: Any = roll_back_form()

    assert form["model"].resolve("gone_long_ago") == "gone_long_ago"
    assert form["bucket"].resolve() is None
