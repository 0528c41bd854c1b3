"""Examine an export before it may be published: every check by name, with its evidence.

`plan.py` lists the checks in order, `subject.py` holds what they look at. Checks that need no
TensorFlow come first; if one of them fails, the checks that depend on it are skipped. A separate
process answers requests with TensorFlow's C++ runtime alone, as a server does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from redraw.definition import ModelDefinition
from redraw.definition.registry import find_fitting
from redraw.errors import InvalidDefinition, MissingDependency, ValidationFailed
from redraw.records import Check, ExportedModel, ValidationReport
from redraw.records.attachments import DESCRIPTION_NAME, Description
from redraw.records.report import is_waivable
from redraw.requests import ValidateRequest
from redraw.serving import ServingProcess
from redraw.storage.files import demand_no_pattern
from redraw.storage.scratch import scratch_folder
from redraw.validate.outcome import CannotRun, fail, is_dependent, skip, skip_dependent
from redraw.validate.plan import PLAN, PLAN_OF_RECORDINGS, PlannedCheck, demand_checks
from redraw.validate.report.write import (
    announce_check,
    announce_dependents,
    check_place,
    show_report,
    write_report,
)
from redraw.validate.subject.fetching import fetch_files, find_live_version, read_exported
from redraw.validate.subject.model_resources import ModelResources
from redraw.validate.subject.subject import Subject

logger = logging.getLogger(__name__)

# Once this check passes, the files are complete: loading starts then, before its own check runs.
_WHOLE, _LOADS = "digest", "loads"
# Once the export has loaded, the checkpoint is restored and asked, before this check runs.
_GOLDEN = "golden-examples"


def validate_model(request: ValidateRequest) -> ValidationReport:
    """Run every check on an export and write the report, whatever the outcome.

    Args:
        request: The model, the export, the report's file, the checkpoint and the live version to
            compare with, and the checks that may be left out.

    Returns:
        The report of an export that passed.

    Raises:
        ValidationFailed: A check did not pass, or was not run and not waived; the report is
            written all the same.
        UnknownModel: No definition of that name.
        InvalidRequest: A waiver names no check.
        InvalidRecord: The export has no record, or is of another model.
        OutputExists: The report would go over another file, or into the SavedModel.
        CheckpointNotFound: The checkpoint to compare with does not exist.
    """
    with Validator() as validator:
        return validator.validate(request)


class Validator:
    """Validates any number of exports, one after another; a context manager.

    It starts the serving process once, and draws each model's networks once.
    """

    def __init__(self) -> None:
        self._serving = ServingProcess()
        self._resources: dict[str, ModelResources] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.close()
        for resources in self._resources.values():
            resources.close()

    def validate(self, request: ValidateRequest) -> ValidationReport:
        """Run every check on one export, with the arguments, result and errors of `validate_model`."""
        demand_checks(request.waivers)
        started = time.monotonic()
        exported = read_exported(request)
        check_place(request.report, exported)
        if not exported.uri.is_bucket:
            demand_no_pattern(Path(exported.uri))
        self._serving.prepare()  # its process starts while the files are read
        with scratch_folder("validate") as scratch:
            subject = self._subject(request, exported, scratch)
            logger.info("validating %s in %s", request.model, exported.uri)
            try:
                report = examine(subject, request.waivers)
            finally:
                subject.close()
        if report.passed and (description := _describe(subject.resources.definition)) != Description():
            subject.attachments[DESCRIPTION_NAME] = description.to_text()
        report = write_report(report, exported, subject.attachments, request.report)
        show_report(report)
        seconds = time.monotonic() - started
        logger.info("validated %s: %d checks in %.1f s", request.model, len(report.checks), seconds)
        _demand_passed(report, request.report)
        return report

    def _subject(self, request: ValidateRequest, exported: ExportedModel, scratch: Path) -> Subject:
        fetched = fetch_files(request, exported, scratch)
        return Subject(
            exported=exported,
            folder=fetched.folder,
            objects=fetched.objects,
            checkpoint=request.checkpoint or exported.checkpoint,
            live=find_live_version(request.model, request.against, scratch),
            allow_breaking=request.allow_breaking or "",
            reference_uri=request.reference,
            resources=self._resources_of(request.model, exported.checkpoint.trained_at),
            serving=self._serving,
            scratch=scratch,
        )

    def _resources_of(self, model: str, trained_at: str) -> ModelResources:
        definition_file = find_fitting(model, trained_at)
        return self._resources.setdefault(definition_file.module, ModelResources(model, trained_at))


def _describe(definition: ModelDefinition) -> Description:
    return Description(
        owner=definition.owner,
        license=definition.license or definition.licence,
        intended_use=definition.intended_use,
        limits=definition.limits,
        data_sets=tuple(definition.data_sets),
    )


def examine(
    subject: Subject, waivers: dict[str, str], plan: Sequence[PlannedCheck] = PLAN
) -> ValidationReport:
    """Run the plan on one subject.

    Args:
        subject: The export.
        waivers: Check to the reason why the export may be published without it.
        plan: The checks, in order.

    Returns:
        The report, whether it passed or not.
    """
    checks: dict[str, Check] = {}
    names = {planned.name for planned in plan}
    for planned in _planned(plan, subject, checks):
        check = checks[planned.name] = _run(planned, subject, checks.values(), waivers)
        # Checks that were skipped because of another one are counted at the end.
        if not is_dependent(check):
            announce_check(check)
        # The serving process runs in parallel: it loads while this process examines the graph, and it
        # answers while this process restores the checkpoint. Loading and restoring do not overlap: each
        # first checks how much memory is free.
        if check.name == _WHOLE and check.status == "passed" and _LOADS in names:
            subject.load_ahead()
        if check.name == _LOADS and check.status == "passed" and _GOLDEN in names:
            subject.compare_ahead()
    announce_dependents(checks.values())
    files_complete = _WHOLE in checks and checks[_WHOLE].status == "passed"
    return ValidationReport(
        model=subject.exported.model,
        digest=subject.exported.digest,
        checks=tuple(checks.values()),
        passed=all(check.admits for check in checks.values()),
        validated_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        waivers=waivers,
        allow_breaking=subject.allow_breaking,
        against=subject.live.release.version if subject.live else None,
        objects=subject.objects if files_complete else None,
    )


def _planned(
    plan: Sequence[PlannedCheck], subject: Subject, done: dict[str, Check]
) -> Iterator[PlannedCheck]:
    """The plan, and before its last check those of recordings, if the definition names a recording.

    The definition is read late: an export that fails early needs neither it nor TensorFlow.
    """
    yield from plan[:-1]
    if plan is PLAN and done[_LOADS].status == "passed" and subject.resources.has_original:
        yield from PLAN_OF_RECORDINGS
    yield from plan[-1:]


def _run(planned: PlannedCheck, subject: Subject, before: Iterable[Check], waivers: dict[str, str]) -> Check:
    before = list(before)
    missing = [check.name for check in before if check.name in planned.needs and check.status != "passed"]
    started, excused = time.monotonic(), ""
    if missing:
        check = skip_dependent(planned.name, missing[0])
    else:
        try:
            check = _shared(planned, subject) if planned.of_graph else planned.run(subject)
        except CannotRun as lacking:
            excused = lacking.excused
            check = skip(planned.name, lacking.reason, lacking.advice)
        except (InvalidDefinition, MissingDependency) as err:
            check = fail(planned.name, str(err))
            if (same := next((c.name for c in before if c.found == check.found), None)) is not None:
                check = skip_dependent(planned.name, same)
    waived = waivers.get(planned.name, excused) if is_waivable(check) else ""
    return replace(check, waived=waived, seconds=round(time.monotonic() - started, 3))


def _shared(planned: PlannedCheck, subject: Subject) -> Check:
    """Run a check of the graph, or repeat its result if it passed for an export with the same graph."""
    same_graph = subject.graph_results
    if subject.live is None and planned.name in same_graph.checks:
        subject.attachments.update(same_graph.attachments)
        check = same_graph.checks[planned.name]
        return replace(check, looked_at=f"{check.looked_at}, of an export with the same saved_model.pb")
    before = set(subject.attachments)  # other checks may have attached files about the weights
    check = planned.run(subject)
    if subject.live is None and check.status == "passed":
        same_graph.checks[planned.name] = check
        made = subject.attachments.keys() - before
        same_graph.attachments.update({name: subject.attachments[name] for name in made})
    return check


def _demand_passed(report: ValidationReport, path: str) -> None:
    if report.passed:
        return
    blocking = [check for check in report.checks if not check.admits]
    roots = [check for check in blocking if not is_dependent(check)]
    failed = [check for check in roots if check.status == "failed"] or roots or blocking
    evidence = "; ".join(f"{c.name}: expected {c.expected}, got {c.found}. {c.advice}" for c in failed)
    raise ValidationFailed(
        f"{len(blocking)} of {len(report.checks)} checks of {report.model} failed or were not run:"
        f" {evidence} Report: {path}",
        report,
    )
