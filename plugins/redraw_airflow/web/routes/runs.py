"""Redraw's tab on a run and on a task: failures, and what was trained, exported and published."""

# No postponed annotations: FastAPI evaluates them.

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from redraw.errors import VersionNotFound
from redraw.names import ModelName
from redraw.records import ExportedModel, ValidationReport
from redraw.uri import Uri
from redraw_airflow.urls import ledger_place
from redraw_airflow.web.compat import SessionDep
from redraw_airflow.web.pages import show_page
from redraw_airflow.web.routes.attachments import ATTACHMENTS, Theme, harmless, in_theme
from redraw_airflow.web.routes.versions import LedgerQuery
from redraw_airflow.web.server.read_results import PARSED_BYTES, ReadResult
from redraw_airflow.web.server.run_files import read_run_file
from redraw_airflow.web.views.failed_tasks import describe_failures
from redraw_airflow.web.views.ledger_rows import find_rows, read_ledger
from redraw_airflow.web.views.run_records import (
    TaskPlace,
    find_conf,
    find_failures,
    find_progress,
    find_records,
    find_states,
)
from redraw_airflow.web.views.training_curves import describe_trainings

router = APIRouter(prefix="/runs/{dag_id}/{run_id}")

# Airflow replaces this by the number of a mapped task, and leaves it as it is for other tasks.
_NO_INDEX = "{MAP_INDEX}"

MapIndex = Annotated[str, Path(pattern=r"^(-1|[0-9]{1,9}|\{MAP_INDEX\})$")]


def _task(dag_id: str, run_id: str, task_id: str, map_index: MapIndex) -> TaskPlace:
    number = -1 if map_index == _NO_INDEX else int(map_index)
    return TaskPlace(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=number)


def _task_of_all(dag_id: str, run_id: str, task_id: str) -> TaskPlace:
    return TaskPlace(dag_id=dag_id, run_id=run_id, task_id=task_id)


TaskDep = Annotated[TaskPlace, Depends(_task)]


@router.get("")
def show_run(request: Request, session: SessionDep, dag_id: str, run_id: str) -> Response:
    """A run's records, with a card for each task."""
    return _show(request, session, "run.html", TaskPlace(dag_id=dag_id, run_id=run_id))


@router.get("/{task_id}")
def show_task(
    request: Request, session: SessionDep, place: Annotated[TaskPlace, Depends(_task_of_all)]
) -> Response:
    """A task's record, in full."""
    return _show(request, session, "task.html", place)


@router.get("/{task_id}/{map_index}")
def show_mapped_task(request: Request, session: SessionDep, place: TaskDep) -> Response:
    """The record of one task of a mapped task, in full."""
    return _show(request, session, "task.html", place)


@router.get("/{task_id}/{map_index}/progress")
def show_progress(request: Request, session: SessionDep, place: TaskDep) -> Response:
    """The progress of a training: the part of a tab that is reloaded while it runs."""
    trainings = describe_trainings(find_progress(session, place), find_states(session, place))
    return show_page(request, "progress.html", place=place, trainings=trainings)


@router.get("/{task_id}/{map_index}/attachments/{name}")
def show_attachment(session: SessionDep, place: TaskDep, name: str, theme: Theme | None = None) -> Response:
    """A file that a validation attached to its report, published or not."""
    for task in find_records(session, place):
        record = task.record
        if isinstance(record, ValidationReport) and name in ATTACHMENTS and name in record.attachments:
            content = read_run_file(record.attachments[name], record.model, place.dag_id, place.run_id)
            return harmless(in_theme(content, theme) if theme else content, name)
    raise VersionNotFound(
        f"{name!r:.100}: expected a file of this task, found none. The tab Redraw of the"
        " task lists its files."
    )


@router.get("/{task_id}/{map_index}/ledger")
def show_ledger(
    request: Request, session: SessionDep, place: TaskDep, query: Annotated[LedgerQuery, Depends()]
) -> Response:
    """The restore ledger of an export, published or not."""
    exports = (task.record for task in find_records(session, place))
    record = next((record for record in exports if isinstance(record, ExportedModel)), None)
    if record is None:
        raise VersionNotFound(
            "ledger: expected an export task, got another task. Open the ledger from the run's tab Redraw."
        )
    content = read_run_file(record.ledger_uri, record.model, place.dag_id, place.run_id, PARSED_BYTES)
    return show_page(
        request,
        "ledger.html",
        subject=f"{record.model}, step {record.checkpoint.step}",
        ledger=ReadResult(content=find_rows(read_ledger(content), query.text, query.fate, query.page)),
        ledger_address=ledger_place(place.dag_id, place.run_id, place.task_id or "", place.map_index),
        query=query,
    )


def _show(request: Request, session: SessionDep, template: str, place: TaskPlace) -> Response:
    states = find_states(session, place)
    failures = find_failures(session, place)
    records = find_records(session, place)

    def read_file(model: ModelName, uri: Uri) -> bytes:
        return read_run_file(uri, model, place.dag_id, place.run_id, PARSED_BYTES)

    # Another task's record may explain a failure.
    context = find_records(session, replace(place, task_id=None)) if place.task_id and failures else records
    return show_page(
        request,
        template,
        place=place,
        records=records,
        states=states,
        trainings=describe_trainings(find_progress(session, place), states),
        failures=describe_failures(
            place,
            states,
            failures,
            context,
            find_conf(session, place),
            read_file,
        ),
    )
