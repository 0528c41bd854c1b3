from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi import params
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from redraw_airflow.web import compat
from tests.redraw_airflow.web.dag_rights import USERS, DagRights
from tests.redraw_airflow.web.page_server import Pages


@pytest.fixture
def session(pages: Pages) -> Iterator[Session]:
    """Of the database of the server that shows the pages."""
    with Session(create_engine(f"sqlite:///{pages.home}/airflow.db")) as session:
        yield session


@pytest.mark.parametrize(
    ("dependency", "kind"), [(compat.GetUserDep, BaseUser), (compat.SessionDep, Session)]
)
def test_dependencies_of_routes_give_what_they_say(dependency: Any, kind: type) -> None:
    given, provider = get_args(dependency)
    assert issubclass(given, kind)
    assert isinstance(provider, params.Depends)


def test_tables_have_the_columns_that_pages_ask_for(session: Session) -> None:
    run = session.query(compat.DagRun).filter_by(run_id="named").one()
    assert (run.dag_id, run.state, run.conf) == ("retrain_and_export", "failed", {"model": "recommender"})
    assert run.run_after is not None
    assert hasattr(run, "start_date")
    tasks = session.query(compat.TaskInstance).filter_by(run_id="backfill").all()
    assert {(task.task_id, task.map_index, task.state) for task in tasks} >= {
        ("reexport", 0, "failed"),
        ("summary", -1, "failed"),
    }
    xcom = session.query(compat.XComModel).filter_by(run_id="backfill", key="report").one()
    assert (xcom.task_id, xcom.map_index) == ("reexport", 0)
    assert xcom.timestamp is not None


def test_dags_are_in_the_database_until_they_are_stale(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = functools.partial(compat.DagModel.get_dagmodel, session=session)
    monkeypatch.setattr(compat.DagModel, "get_dagmodel", find)
    assert compat.dag_exists("retrain_and_export")
    assert not compat.dag_exists("no_such_dag")
    find("retrain_and_export").is_stale = True
    assert not compat.dag_exists("retrain_and_export")
    session.rollback()


@pytest.mark.parametrize(
    ("user", "rights"),
    [("admin", (True, True, True)), ("viewer", (True, True, False)), ("onlooker", (True, False, False))],
)
def test_rights_on_a_dag_are_those_that_the_auth_manager_gives(
    user: str, rights: tuple[bool, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat, "get_auth_manager", DagRights)
    known = SimpleAuthManagerUser(username=user, role=USERS[user])
    asked: list[tuple[Any, ...]] = [
        ("GET", "prune_versions"),
        ("GET", "prune_versions", compat.DagAccessEntity.XCOM),
        ("POST", "prune_versions", compat.DagAccessEntity.RUN),
    ]
    assert tuple(compat.is_allowed(known, *right) for right in asked) == rights


@pytest.mark.parametrize("teams", ["False", "True"])
def test_rights_on_a_dag_are_asked_with_its_team_where_there_are_teams(
    teams: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Asked(DagRights):
        def is_authorized_dag(self, *, details: Any, **others: Any) -> bool:
            asked.append((details.id, details.team_name))
            return False

    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", teams)
    monkeypatch.setattr(compat, "get_auth_manager", Asked)
    monkeypatch.setattr(compat.DagModel, "get_team_name", lambda dag_id: f"team of {dag_id}")
    compat.is_allowed(None, "GET", "prune_versions")
    assert asked == [("prune_versions", "team of prune_versions" if teams == "True" else None)]
