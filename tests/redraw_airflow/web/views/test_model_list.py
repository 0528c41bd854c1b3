from __future__ import annotations

from dataclasses import replace

import pytest

from redraw.names import ModelName
from redraw.publish.version_rows import ModelRow, VersionRow, row_of
from redraw_airflow.web.views.model_list import ListedModel, find_models, needs_facts
from redraw_airflow.web.views.model_runs import LastFailure, LastRun, ModelRuns
from tests.redraw_airflow.web.publications import release_record

ROW = ModelRow(name=ModelName("a"), summary="", problem="", live=None, live_problem="", versions=0, recent=())
VERSION = row_of(release_record("mnist"))


def run(day: int, state: str = "success") -> LastRun:
    return LastRun(dag_id="d", run_id="r", state=state, started_at=f"2026-01-0{day}T00:00:00Z")


def version(day: int) -> tuple[VersionRow, ...]:
    return (replace(VERSION, trained_at=f"2026-01-0{day}T00:00:00Z"),)


MODELS = [
    ListedModel(
        row=replace(ROW, name="c", live=1, versions=2, recent=version(1), owner="vision", summary="Sees."),
        runs=ModelRuns(last=run(3)),
    ),
    ListedModel(
        row=replace(ROW, name="b", versions=3, recent=version(2), live_problem="damaged"),
        runs=ModelRuns(last=run(1, "failed")),
    ),
    ListedModel(row=replace(ROW, name="d", problem="no Model"), runs=ModelRuns()),
    ListedModel(
        row=replace(ROW, name="a", versions=1, recent=version(3)),
        runs=ModelRuns(
            last=run(2, "running"), failure=LastFailure(run=run(1), error="DiskFull", message="no room")
        ),
    ),
]


def names(**asked: str) -> str:
    return "".join(model.row.name for model in find_models(MODELS, **asked))


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("", "cbda"),
        ("live", "c"),
        ("idle", "ba"),
        ("unpublished", "d"),
        ("failed", "ba"),
        ("broken", "bd"),
        ("no such state", "cbda"),
    ],
)
def test_find_models_of_a_state(state: str, found: str) -> None:
    assert names(state=state) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("", "cbda"),
        ("name", "abcd"),
        ("failure", "acbd"),
        ("run", "cabd"),
        ("trained", "abcd"),
        ("versions", "bcad"),
        ("no such order", "cbda"),
    ],
)
def test_find_models_in_an_order_keeps_the_others_as_they_were(order: str, found: str) -> None:
    assert names(order=order) == found


def test_find_models_by_words_and_owner() -> None:
    assert (names(owner="vision"), names(owner="nobody")) == ("c", "")
    assert (names(text="sees VISION"), names(text="sees b")) == ("c", "")
    assert names(text="sees", state="live", owner="vision", order="name") == "c"
    assert names(text="sees", state="idle") == ""


@pytest.mark.parametrize(
    ("state", "order", "needed"),
    [("", "", False), ("", "name", False), ("live", "", True), ("", "run", True), ("none", "none", False)],
)
def test_needs_facts_only_where_the_list_is_of_more_than_names(state: str, order: str, needed: bool) -> None:
    assert needs_facts(state, order) is needed
