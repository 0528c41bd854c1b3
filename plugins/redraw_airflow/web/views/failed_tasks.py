"""The failed tasks of a run for its tab: equal failures once, each with its details."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from redraw.errors import RedrawError
from redraw.names import ModelName
from redraw.records import Check, ExportedModel, Record, ValidationReport
from redraw.records.attachments import Latency, read_latency
from redraw.records.failure import StageFailure, wording_of
from redraw.uri import Uri
from redraw.validate.outcome import is_dependent
from redraw_airflow.web.server.read_results import ReadResult, attempt
from redraw_airflow.web.views.actions import Action
from redraw_airflow.web.views.failed_actions import clearing, validating_again
from redraw_airflow.web.views.run_records import TaskPlace, TaskRecord

TaskKey = tuple[str, int]
T = TypeVar("T")
ReadFile = Callable[[ModelName, Uri], bytes]

_FAILED = {"failed", "up_for_retry"}
# A page opens so many reports of mapped tasks; for the others it shows the record.
_MOST_OPENED = 3


@dataclass(frozen=True, kw_only=True)
class FailedValidation:
    """The details of a failed validation.

    Attributes:
        report: The report.
        blocking: The checks that block the publication, failed ones first.
        dependent: Those that were not run because of one of them.
        latency: Signature to figures, if the export answered.
        attachments: The names of the files that can be opened.
        problem: Why they cannot be opened here; empty if they can.
    """

    report: ValidationReport
    blocking: tuple[Check, ...]
    dependent: tuple[Check, ...]
    latency: ReadResult[Mapping[str, tuple[Latency, ...]]]
    attachments: tuple[str, ...]
    problem: str


@dataclass(frozen=True, kw_only=True)
class FailedTasks:
    """Tasks with equal failures.

    Attributes:
        tasks: The tasks, each by its id and number.
        retried: Whether Airflow retries them.
        failure: The failure of the first; None if it was killed and left none.
        problem: Why its failure cannot be read; empty if it can.
        validation: The details if it was a validation.
        ledger: The task with the restore ledger of the export; None if there is none.
        actions: The possible actions.
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
    failures: Mapping[TaskKey, TaskRecord],
    records: Iterable[TaskRecord],
    conf: Mapping[str, Any],
    read_file: ReadFile,
) -> tuple[FailedTasks, ...]:
    """Describe the failed tasks of a run, in the order of their failures, equal failures once.

    Args:
        place: The run, or the task.
        states: Each task's state.
        failures: The failures that tasks left.
        records: The other records of all of the run's tasks.
        conf: The run's parameters.
        read_file: Reads a file of the run, by its model and URI.
    """
    groups: dict[tuple[str, str, str], list[TaskKey]] = {}
    for key in (key for key, state in states.items() if state in _FAILED):
        groups.setdefault(_kind(key, failures.get(key)), []).append(key)
    record_of = {(output.task_id, output.map_index): output.record for output in records}
    return tuple(
        _describe(
            place, tasks, states, failures, record_of, conf, read_file if number < _MOST_OPENED else None
        )
        for number, tasks in enumerate(groups.values())
    )


def _kind(key: TaskKey, output: TaskRecord | None) -> tuple[str, str, str]:
    failure = _failure(output)
    return (key[0], failure.error, wording_of(failure.message)) if failure else (key[0], "", "")


def _failure(output: TaskRecord | None) -> StageFailure | None:
    return output.record if output is not None and isinstance(output.record, StageFailure) else None


def _describe(
    place: TaskPlace,
    tasks: list[TaskKey],
    states: Mapping[TaskKey, str],
    failures: Mapping[TaskKey, TaskRecord],
    record_of: Mapping[TaskKey, Record | None],
    conf: Mapping[str, Any],
    read_file: ReadFile | None,
) -> FailedTasks:
    first_task = tasks[0]
    output, report = failures.get(first_task), record_of.get(first_task)
    validation = None
    if isinstance(report, ValidationReport) and not report.passed:
        validation = _validation(report, read_file)
    exports = {key: record for key, record in record_of.items() if isinstance(record, ExportedModel)}
    digest = validation.report.digest if validation else None
    examined = {key: export for key, export in exports.items() if export.digest == digest}
    actions = [clearing(place, tasks)]
    for export in list(examined.values())[:1]:
        actions += validating_again(export, validation.blocking if validation else (), conf)
    return FailedTasks(
        tasks=tuple(tasks),
        retried=all(states[key] == "up_for_retry" for key in tasks),
        failure=_failure(output),
        problem=output.problem if output else "",
        validation=validation,
        ledger=next(iter(examined), None),
        actions=tuple(actions),
    )


def _validation(report: ValidationReport, read_file: ReadFile | None) -> FailedValidation:
    blocked = [check for check in report.checks if not check.admits]
    roots = [check for check in blocked if not is_dependent(check)]
    page = _read_file(report, "report.html", read_file, lambda content: content)
    return FailedValidation(
        report=report,
        blocking=tuple(sorted(roots, key=lambda check: check.status != "failed")),
        dependent=tuple(check for check in blocked if is_dependent(check)),
        latency=_read_file(report, "latency.json", read_file, read_latency),
        attachments=() if page.content is None else tuple(report.attachments),
        problem=page.problem,
    )


def _read_file(
    report: ValidationReport, name: str, read_file: ReadFile | None, read: Callable[[bytes], T]
) -> ReadResult[T]:
    """A file of a report, or why it cannot be read."""
    uri = report.attachments.get(name)
    if read_file is None or uri is None:
        return ReadResult()
    return attempt(lambda: read(read_file(report.model, uri)), RedrawError)
