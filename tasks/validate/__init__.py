"""Examine an export before it may be published: every check by name, with its evidence."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.definition import ModelDefinition
from tasks.errors import CheckpointMismatch, InvalidRecord, ValidationFailed
from tasks.files import write_atomically
from tasks.names import check_model_name
from tasks.records import Check, Checkpoint, ExportedModel, ValidationReport
from tasks.requests import ValidateRequest
from tasks.validate.answers import AnswerProcess, Answers
from tasks.validate.signatures import check_signatures
from tasks.validate.thresholds import check_thresholds
from tasks.validate.whole import check_digest, check_files

__all__ = ["validate_model"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Subject:
    """What is examined: the export, the folder it lies in, and the checkpoint it is held to."""

    exported: ExportedModel
    folder: Path
    checkpoint: Checkpoint | str


def validate_model(request: ValidateRequest) -> ValidationReport:
    """Run every check on an export and write the report, whatever the outcome.

    Args:
        request: The model, the export, the report's file, and the checkpoint to compare
            with.

    Returns:
        The report of an export that passed.

    Raises:
        ValidationFailed: A check did not pass; the report is written all the same.
        UnknownModel: No definition of that name.
        InvalidRecord: The export has no record, or is of another model.
        CheckpointNotFound: The checkpoint to compare with is gone.
    """
    check_model_name(request.model)
    subject = _subject(request)
    started = time.monotonic()
    logger.info("validating %s in %s", request.model, subject.folder)
    checks = _examine(request.model, subject)
    report = ValidationReport(
        model=request.model,
        digest=subject.exported.digest,
        checks=checks,
        passed=all(check.status == "passed" for check in checks),
        validated_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    )
    path = Path(request.report)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(report.to_json(), indent=2).encode())
    for check in checks:
        level = logging.INFO if check.status == "passed" else logging.ERROR
        logger.log(level, "%s %s: %s", check.status, check.name, check.found)
    logger.info("validated %s: %d checks in %.1f s", request.model, len(checks), time.monotonic() - started)
    _demand_passed(report, path)
    return report


def _subject(request: ValidateRequest) -> _Subject:
    given = request.saved_model
    folder = Path(given.uri if isinstance(given, ExportedModel) else given)
    exported = given if isinstance(given, ExportedModel) else _read_export(folder)
    if exported.model != request.model:
        raise InvalidRecord(
            f"{folder}: expected an export of model {request.model!r}, got one of {exported.model!r}."
            " Name an export of this model."
        )
    return _Subject(exported, folder, request.checkpoint or exported.checkpoint)


def _read_export(folder: Path) -> ExportedModel:
    record = Path(f"{folder.absolute()}.json")
    try:
        return ExportedModel.from_text(record.read_bytes(), str(record))
    except OSError as err:
        raise InvalidRecord(
            f"{record}: expected the record that export writes beside {folder}, got {err.strerror}."
            " Export again."
        ) from err


def _examine(model: str, subject: _Subject) -> tuple[Check, ...]:
    """Checks that need no TensorFlow come first; what they find wrong spares the rest."""
    files = (check_files(subject.folder), check_digest(subject.folder, subject.exported.digest))
    if any(check.status == "failed" for check in files):
        return (*files, *_not_run(files))
    with tempfile.TemporaryDirectory() as scratch, AnswerProcess(subject.folder, Path(scratch)) as process:
        definition = _load(model)
        signatures = check_signatures(subject.folder, definition.signatures)
        thresholds = check_thresholds(subject.exported, definition.thresholds)
        answers = process.ask(definition.golden_examples())
        return (*files, signatures, thresholds, *_dynamic(definition, subject, answers))


def _load(model: str) -> ModelDefinition:
    from tasks.quiet import quiet_import
    from tasks.registry import load_definition

    with quiet_import():
        import tensorflow  # noqa: F401 - imported by the definition; here without its chatter
    return load_definition(model)


def _dynamic(definition: ModelDefinition, subject: _Subject, answers: Answers) -> tuple[Check, ...]:
    from tasks.validate.parity import check_parity

    loads = Check(
        name="loads-in-fresh-process",
        status="failed" if answers.failure else "passed",
        looked_at=str(subject.folder),
        expected="tf.saved_model.load in a process of its own, and an answer from each signature",
        found=answers.failure or f"answers from {', '.join(sorted(answers.outputs))}",
        advice="Export again; if it fails again, mend the definition's serve." if answers.failure else "",
    )
    if answers.failure:
        return (loads, _skipped("golden-examples", "the model did not load and answer"))
    try:
        parity = check_parity(definition, subject.checkpoint, subject.exported, answers.outputs)
    except CheckpointMismatch as err:
        parity = Check(
            name="golden-examples",
            status="failed",
            looked_at=str(subject.folder),
            expected="the checkpoint's own answers to compare with",
            found=str(err),
            advice="Validate with the definition and the checkpoint that the export was made of.",
        )
    return (loads, parity)


def _not_run(failed: tuple[Check, ...]) -> tuple[Check, ...]:
    names = ("signatures", "metric-thresholds", "loads-in-fresh-process", "golden-examples")
    broken = next(check.name for check in failed if check.status == "failed")
    return tuple(_skipped(name, f"the check {broken} failed") for name in names)


def _skipped(name: str, reason: str) -> Check:
    return Check(
        name=name,
        status="not_run",
        looked_at="nothing",
        expected="an export that gets this far",
        found=f"not run: {reason}",
        advice="Mend that first.",
    )


def _demand_passed(report: ValidationReport, path: Path) -> None:
    if report.passed:
        return
    failed = [check for check in report.checks if check.status == "failed"]
    evidence = "; ".join(f"{c.name}: expected {c.expected}, got {c.found}. {c.advice}" for c in failed)
    raise ValidationFailed(
        f"{len(failed)} of {len(report.checks)} checks of {report.model} failed: {evidence} Report: {path}"
    )
