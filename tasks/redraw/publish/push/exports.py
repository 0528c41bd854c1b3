"""What a push is asked to publish, held against its records before a byte is sent."""

from __future__ import annotations

from dataclasses import replace

from redraw.errors import InvalidRecord, NotValidated
from redraw.records import ExportedModel, ValidationReport
from redraw.requests import PushRequest
from redraw.storage.opening import read_uri
from redraw.uri import Uri


def read_export(request: PushRequest) -> ExportedModel:
    """The export's record, as given or from the file next to the SavedModel's folder.

    Returns:
        The record; its URI is the folder that was named.

    Raises:
        InvalidRecord: There is no such record, or it is of another model.
    """
    given = request.saved_model
    if isinstance(given, Uri):
        where = given.with_ending(".json")
        content = _demand_content(where, "the record that export writes next to the SavedModel")
        given = replace(ExportedModel.from_text(content, where), uri=given)
    _demand_model(request.model, given.model, f"export {given.uri}")
    return given


def read_report(request: PushRequest) -> ValidationReport:
    """The validation report, as given or from its file.

    Raises:
        InvalidRecord: There is no such report, or it is of another model.
    """
    given = request.report
    where = "report"
    if isinstance(given, Uri):
        where = f"report {given}"
        content = _demand_content(given, "the report that validate writes")
        given = ValidationReport.from_text(content, given)
    _demand_model(request.model, given.model, where)
    return given


def demand_validated(export: ExportedModel, report: ValidationReport) -> None:
    """Demand that the report is of this export, and lets it pass.

    Raises:
        NotValidated: It is of another one, or a check did not pass.
    """
    if report.digest != export.digest:
        raise NotValidated(
            f"{export.uri}: expected a report of its digest {export.digest}, got one of {report.digest}."
            " Validate this export."
        )
    failed = [check.name for check in report.checks if check.status == "failed"]
    if failed or not report.passed:
        names = ", ".join(failed) or "the report as a whole"
        raise NotValidated(
            f"{export.uri}: expected a report in which every check passed, got failures of {names}."
            " Correct the export and validate it again."
        )


def _demand_content(uri: Uri, what: str) -> bytes:
    content = read_uri(uri)
    if content is None:
        raise InvalidRecord(f"{uri}: expected {what}, got no such file. Correct the path.")
    return content


def _demand_model(asked: str, found: str, where: str) -> None:
    if asked != found:
        raise InvalidRecord(
            f"{where}: expected model {asked!r}, got {found!r}. Push it under its own model's name."
        )
