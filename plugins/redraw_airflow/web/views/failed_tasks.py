"""The tasks of a run that failed, for people: equal failures once, and what to look at of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from redraw.errors import RedrawError
from redraw.names import ModelName
from redraw.records import Check, ExportedModel, ValidationReport
from redraw.records.attachments import Latency, read_latency
from redraw.records.failure import StageFailure, wording_of
from redraw.uri import Uri
from redraw.validate.outcome import is_dependent
from redraw_airflow.web.server.kept import Kept, attempt
from redraw_airflow.web.views.actions import Action
from redraw_airflow.web.views.failed_actions import clearing, validating_again
from redraw_airflow.web.views.run_records import TaskPlace, TaskRecord

TaskKey = tuple[str, int]
T = TypeVar("T")
ReadFile = Callable[[ModelName, Uri], bytes]

_FAILED = {"failed", "up_for_retry"}
# So many reports of mapped tasks are opened for a page; of the others the record says what failed.
_MOST_OPENED = 3


@dataclass(frozen=True, kw_only=True)
class FailedValidation:
    """What a failed validation has left to look at.

    Attributes:
        report: All of it.
        held_up: The checks that keep the export from being published, those that failed first.
        dependent: Those that were not run because of one of them.
        latency: Signature to figures, if the export answered.
        attachments: The names of the files that can be opened.
        problem: Why they cannot be opened here; empty if they can.
    """

    report: ValidationReport
    held_up: tuple[Check, ...]
    dependent: tuple[Check, ...]
    latency: Kept[Mapping[str, tuple[Latency, ...]]]
    attachments: tuple[str, ...]
    problem: str


@dataclass(frozen=True, kw_only=True)
class FailedTasks:
    """Tasks that failed alike.

    Attributes:
        tasks: Each by its id and number.
        retried: Whether Airflow tries again by itself.
        failure: Why the first did; None if it was killed, and left nothing.
        problem: Why what it left cannot be read; empty if it can.
        validation: Of a validation, what it found.
        ledger: The task whose restore ledger says more; None if none does.
        actions: What helps.
    """

    tasks: tuple[TaskKey, ...]
    retried: bool
    failure: StageFailure | None
    problem: str
    validation: FailedValidation | None
    ledger: TaskKey | None
    actions: tuple[Action, ...]


def describe_failures(
    place: TaskPlace,
    states: Mapping[TaskKey, str],
    left: Mapping[TaskKey, TaskRecord],
    records: Iterable[TaskRecord],
    conf: Mapping[str, Any],
    read_file: ReadFile,
) -> tuple[FailedTasks, ...]:
    """Describe the tasks of a run that failed, in the order in which they did, equal failures once.

    Args:
        place: The run, or the task.
        states: Each task's state.
        left: Why tasks failed, as they left it.
        records: The other records of the run, of all of its tasks.
        conf: The run's parameters.
        read_file: Reads a file of the run, by its model and URI.
    """
    groups: dict[tuple[str, str, str], list[TaskKey]] = {}
    for key in (key for key, state in states.items() if state in _FAILED):
        groups.setdefault(_kind(key, left.get(key)), []).append(key)
    known = {(found.task_id, found.map_index): found.record for found in records}
    return tuple(
        _describe(place, tasks, states, left, known, conf, read_file if number < _MOST_OPENED else None)
        for number, tasks in enumerate(groups.values())
    )


def _kind(key: TaskKey, found: TaskRecord | None) -> tuple[str, str, str]:
    failure = _failure(found)
    return (key[0], failure.error, wording_of(failure.message)) if failure else (key[0], "", "")


def _failure(found: TaskRecord | None) -> StageFailure | None:
    return found.record if found is not None and isinstance(found.record, StageFailure) else None


def _describe(
    place: TaskPlace,
    tasks: list[TaskKey],
    states: Mapping[TaskKey, str],
    left: Mapping[TaskKey, TaskRecord],
    known: Mapping[TaskKey, Any],
    conf: Mapping[str, Any],
    read_file: ReadFile | None,
) -> FailedTasks:
    first = tasks[0]
    found, report = left.get(first), known.get(first)
    validation = None
    if isinstance(report, ValidationReport) and not report.passed:
        validation = _validation(report, read_file)
    exports = {key: record for key, record in known.items() if isinstance(record, ExportedModel)}
    digest = validation.report.digest if validation else None
    examined = {key: export for key, export in exports.items() if export.digest == digest}
    actions = [clearing(place, tasks)]
    for export in list(examined.values())[:1]:
        actions += validating_again(export, validation.held_up if validation else (), conf)
    return FailedTasks(
        tasks=tuple(tasks),
        retried=all(states[key] == "up_for_retry" for key in tasks),
        failure=_failure(found),
        problem=found.problem if found else "",
        validation=validation,
        ledger=next(iter(examined), None),
        actions=tuple(actions),
    )


def _validation(report: ValidationReport, read_file: ReadFile | None) -> FailedValidation:
    stopped = [check for check in report.checks if not check.admits]
    roots = [check for check in stopped if not is_dependent(check)]
    page = _kept(report, "report.html", read_file, lambda content: content)
    return FailedValidation(
        report=report,
        held_up=tuple(sorted(roots, key=lambda check: check.status != "failed")),
        dependent=tuple(check for check in stopped if is_dependent(check)),
        latency=_kept(report, "latency.json", read_file, read_latency),
        attachments=() if page.content is None else tuple(report.attachments),
        problem=page.problem,
    )


def _kept(
    report: ValidationReport, name: str, read_file: ReadFile | None, read: Callable[[bytes], T]
) -> Kept[T]:
    """A file of a report, or why it cannot be read."""
    uri = report.attachments.get(name)
    if read_file is None or uri is None:
        return Kept()
    return attempt(lambda: read(read_file(report.model, uri)), RedrawError)
