"""Examine specimens as the validate stage does: one process that serves, whatever it is asked."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from redraw.definition import ModelDefinition
from redraw.records import ExportedModel, Release, ValidationReport
from redraw.records.making import Provenance
from redraw.serving import ServingProcess
from redraw.validate.plan import PLAN, PLAN_OF_RECORDINGS, PlannedCheck
from redraw.validate.subject.model_resources import ModelResources
from redraw.validate.subject.subject import LiveVersion, Subject
from redraw.validate.validator import examine
from tests.defects.planting import Specimen

__all__ = ["Examiner", "Finding", "leading_to"]

_VALIDATED_AT = "2026-01-01T00:00:00Z"
_VERSION = 2026010100000000
# What is slow or fast here is so by far.
_LATENCY_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one specimen.

    Attributes:
        statuses: Check to `passed`, `failed` or `not_run`.
        found: Check to what it found, of those that hold the export up.
        check_seconds: Check to how long it took.
        error: What broke where it could not be examined at all; empty if nothing did.
        seconds: For making and examining it.
    """

    statuses: dict[str, str]
    found: dict[str, str]
    check_seconds: dict[str, float]
    error: str
    seconds: float


class Examiner:
    """Makes specimens and examines them, one after the other; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Take a folder for scratch."""
        self._folder = folder
        self._serving = ServingProcess()
        self._resources: dict[type[ModelDefinition], ModelResources] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.close()
        for resources in self._resources.values():
            resources.close()

    def examine(self, make: Callable[[], Specimen], plan: tuple[PlannedCheck, ...] = PLAN) -> Finding:
        """Make a specimen and run the checks of a plan on it."""
        started = time.monotonic()
        try:
            report = self._report(make(), plan)
        except Exception:  # one that breaks is reported by its name, and the others are examined all the same
            return Finding(
                statuses={},
                found={},
                check_seconds={},
                error=traceback.format_exc(),
                seconds=time.monotonic() - started,
            )
        return Finding(
            statuses={check.name: check.status for check in report.checks},
            found={check.name: check.found for check in report.checks if not check.admits},
            check_seconds={check.name: check.seconds for check in report.checks},
            error="",
            seconds=time.monotonic() - started,
        )

    def _report(self, specimen: Specimen, plan: tuple[PlannedCheck, ...]) -> ValidationReport:
        scratch = self._folder / f"scratch-{time.monotonic_ns()}"
        scratch.mkdir(parents=True)
        self._serving.prepare()
        exported = specimen.exported
        subject = Subject(
            exported=exported,
            folder=Path(exported.uri),
            checkpoint=exported.checkpoint,
            live=None if specimen.live is None else _live(specimen.live),
            allow_breaking="",
            resources=self._resources_of(exported.model, specimen.definition),
            serving=self._serving,
            scratch=scratch,
        )
        try:
            return examine(subject, {}, plan)
        finally:
            subject.close()

    def _resources_of(self, model: str, definition: ModelDefinition) -> ModelResources:
        kind = type(definition)
        if kind not in self._resources:
            resources = self._resources[kind] = ModelResources(
                model, _VALIDATED_AT, latency_seconds=_LATENCY_SECONDS
            )
            # It stands in no package that a name would find it in.
            resources.definition = definition
        return self._resources[kind]


def leading_to(name: str) -> tuple[PlannedCheck, ...]:
    """The part of the plan that a check needs, and itself; no other check has a say in its outcome."""
    needed, plan = {name}, (*PLAN, *PLAN_OF_RECORDINGS)
    for planned in reversed(plan):
        if planned.name in needed:
            needed.update(planned.needs)
    return tuple(planned for planned in plan if planned.name in needed)


def _live(exported: ExportedModel) -> LiveVersion:
    report = ValidationReport(
        model=exported.model,
        digest=exported.digest,
        checks=(),
        passed=True,
        validated_at=_VALIDATED_AT,
    )
    release = Release(
        model=exported.model,
        version=_VERSION,
        uri=exported.uri,
        digest=exported.digest,
        size_bytes=exported.size_bytes,
        signatures=exported.signatures,
        checkpoint=exported.checkpoint,
        weights=exported.weights,
        report=report,
        previous=None,
        pushed_at=_VALIDATED_AT,
        ledger=exported.ledger,
        provenance=Provenance(made_by=None, report_digest="", asked_by="a test"),
        generations={},
    )
    return LiveVersion(release=release, fetch=lambda: Path(exported.uri))
