"""Redraw's tab on a run and on a task of one: what it trained, exported, found and published."""

# No postponed annotations: FastAPI reads them as they stand here.

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from redraw_airflow.web.compat import SessionDep
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.views.run_records import TaskPlace, find_records, find_states

__all__ = ["router"]

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")

# Airflow fills the number in where the task is mapped, and else leaves its name.
_NO_INDEX = "{MAP_INDEX}"

MapIndex = Annotated[str, Path(pattern=r"^(-1|[0-9]{1,9}|\{MAP_INDEX\})$")]


@router.get("")
def show_run(request: Request, session: SessionDep, dag_id: str, run_id: str) -> Response:
    """What a run has left, a card a task."""
    return _shown(request, session, "run.html", TaskPlace(dag_id=dag_id, run_id=run_id))


@router.get("/{task_id}")
def show_task(request: Request, session: SessionDep, dag_id: str, run_id: str, task_id: str) -> Response:
    """What a task has left, in full."""
    place = TaskPlace(dag_id=dag_id, run_id=run_id, task_id=task_id)
    return _shown(request, session, "task.html", place)


@router.get("/{task_id}/{map_index}")
def show_mapped_task(
    request: Request, session: SessionDep, dag_id: str, run_id: str, task_id: str, map_index: MapIndex
) -> Response:
    """The same of one of a mapped task's."""
    number = -1 if map_index == _NO_INDEX else int(map_index)
    place = TaskPlace(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=number)
    return _shown(request, session, "task.html", place)


def _shown(request: Request, session: SessionDep, template: str, place: TaskPlace) -> Response:
    states = find_states(session, place)
    return show_page(
        request,
        template,
        place=place,
        records=find_records(session, place),
        states=states,
        failed=[task for task, state in states.items() if state == "failed"],
    )
