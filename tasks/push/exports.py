"""What a push is asked to publish, held against its records before a byte is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import InvalidRecord, NotValidated
from tasks.file_list import FileList
from tasks.files import TreeFile, digest_of, scan_tree, tree_names
from tasks.records import ExportedModel, ValidationReport
from tasks.requests import PushRequest
from tasks.scratch import scratch_folder
from tasks.storage import download_tree, open_storage, read_uri

__all__ = ["demand_validated", "local_files", "read_export", "read_report"]


def read_export(request: PushRequest) -> ExportedModel:
    """The export's record, as given or from the file beside the SavedModel's folder.

    Returns:
        The record; its URI is the folder that was named.

    Raises:
        InvalidRecord: There is no such record, or it is of another model.
    """
    given = request.saved_model
    if isinstance(given, str):
        folder = given.rstrip("/")
        beside = f"{folder}.json"
        content = _demand_content(beside, "the record that export writes beside the SavedModel")
        record = ExportedModel.from_text(content, beside)
        given = ExportedModel.from_json({**record.to_json(), "uri": folder})
    _demand_model(request.model, given.model, f"export {given.uri}")
    return given


def read_report(request: PushRequest) -> ValidationReport:
    """The validation report, as given or from its file.

    Raises:
        InvalidRecord: There is no such report, or it is of another model.
    """
    given = request.report
    where = "report"
    if isinstance(given, str):
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
            " Mend the export and validate it again."
        )


@contextlib.contextmanager
def local_files(export: ExportedModel) -> Iterator[tuple[TreeFile, ...]]:
    """The export's files on this machine, for as long as the context lasts.

    Where the list that export writes is there they are not read here: the list's digest is
    the export's, and who sends a file holds it to the list.

    Args:
        export: A SavedModel in a local folder, or in a bucket, from which it is copied.

    Yields:
        Its files, with the checksums they were exported with.

    Raises:
        InvalidRecord: The folder is not there.
        NotValidated: Its files were altered since it was exported.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(export.uri)
        if "://" in export.uri:
            folder = stack.enter_context(scratch_folder("push", export.size_bytes))
            download_tree(open_storage(export.uri), "", folder)
        if not folder.is_dir():
            raise InvalidRecord(f"{export.uri}: expected a SavedModel's folder, got none. Export it again.")
        files = _listed_files(export, folder) or scan_tree(folder).files
        if (digest := digest_of(files)) != export.digest:
            raise NotValidated(
                f"{export.uri}: expected files with the digest {export.digest}, as exported, got"
                f" {digest}. They were altered since: export and validate again."
            )
        yield files


def _listed_files(export: ExportedModel, folder: Path) -> tuple[TreeFile, ...] | None:
    """The files as the list beside the export gives them, if it is there."""
    where = f"{export.uri}.files.json"
    content = read_uri(where)
    if content is None:
        return None
    listed = {file.name: file for file in FileList.from_text(content, where).files}
    found = {name: (folder / name).stat().st_size for name in tree_names(folder)}
    for name in sorted(listed.keys() | found.keys()):
        expected = listed[name].size if name in listed else None
        if found.get(name) != expected:
            raise NotValidated(
                f"{export.uri}/{name}: expected {_bytes(expected)}, as exported, got"
                f" {_bytes(found.get(name))}. It was altered since: export and validate again."
            )
    return tuple(
        TreeFile(name=name, size=file.size, crc32c=file.crc32c, sha256=file.sha256, path=folder / name)
        for name, file in sorted(listed.items())
    )


def _bytes(size: int | None) -> str:
    return "no such file" if size is None else f"{size} bytes"


def _demand_content(uri: str, what: str) -> bytes:
    content = read_uri(uri)
    if content is None:
        raise InvalidRecord(f"{uri}: expected {what}, got no such file. Correct the path.")
    return content


def _demand_model(asked: str, found: str, where: str) -> None:
    if asked != found:
        raise InvalidRecord(
            f"{where}: expected model {asked!r}, got {found!r}. Push it under its own model's name."
        )
