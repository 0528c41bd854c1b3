"""What this version writes is what it wrote before, and what earlier versions wrote can still be read."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import redraw.publish.bucket
import redraw.publish.prune
import redraw.records
import redraw.records.results
from redraw.checkpoint.catalogue.listing import list_checkpoints
from redraw.errors import NewerRecord
from redraw.names import ModelName
from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import list_versions, read_claim, read_release
from redraw.publish.live.pointer import read_pointer
from redraw.publish.push.release import digest_report
from redraw.records import ExportedModel, Record, Release
from redraw.records.attachments import read_latency
from redraw.records.files import FileList
from redraw.runs.folder import RunFolder
from redraw.storage.local import LocalStorage
from redraw.uri import Uri
from redraw.validate.subject.export_files import ExportFiles
from redraw_airflow.web.views.graph_parts import read_graphs
from redraw_airflow.web.views.ledger_rows import read_ledger
from tests.golden.records import (
    CHECKPOINT,
    CLAIM,
    COMPARISON,
    EXPORTED,
    FILES,
    LEDGER,
    MODEL,
    POINTER,
    RECORDS,
    RELEASE,
    RUN,
    VERSION,
    write_files,
)

GOLDEN = Path(__file__).parent
# The form that this version writes, and those that earlier ones wrote.
NOW = "schema-2"
FORMS = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name[0] not in "_.")
# Keys that a form does not have yet.
_SCHEMA_1: dict[str, dict[str, Any]] = {
    "Claim": {"step": None},
    "LivePointer": {
        "number": 0,
        "rejected": {},
        "history": (replace(POINTER.history[0], allow_rejected=""),),
    },
}
LATER: dict[str, dict[str, dict[str, Any]]] = {
    "schema-1": _SCHEMA_1,
    "without-schema": {
        **_SCHEMA_1,
        "ReleaseList": {"unreadable": ()},
        "CheckpointList": {"unreadable": ()},
        "ModelList": {"problems": (), "models": (replace(RECORDS["ModelList"].models[0], problem=""),)},
    },
}


def as_of(form: str, record: Any) -> Any:
    """The record as a form has it, which lacks some keys."""
    return replace(record, **LATER.get(form, {}).get(type(record).__name__, {}))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_own_attachments(found: Any) -> Any:
    """A release names its attachments by their digests, which differ from form to form."""
    if isinstance(found, Release):
        return replace(found, attachments=RELEASE.attachments)
    if hasattr(found, "releases"):
        return replace(found, releases=tuple(map(with_own_attachments, found.releases)))
    return found


def test_write_files_of_this_version_are_the_stored_ones(tmp_path: Path) -> None:
    write_files(tmp_path)
    assert contents(tmp_path) == contents(GOLDEN / NOW)


def test_golden_files_hold_a_record_of_every_kind() -> None:
    packages: list[ModuleType] = [
        redraw.records,
        redraw.records.results,
        redraw.publish.bucket,
        redraw.publish.prune,
    ]
    for package in packages:
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    kinds = {kind for kind in Record.__subclasses__() if kind.__module__.startswith("redraw.")}
    assert {kind.__name__ for kind in kinds} == set(RECORDS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_from_text_reads_what_each_form_says(form: str, kind: str) -> None:
    path = GOLDEN / form / "printed" / f"{kind}.json"
    expected = as_of(form, RECORDS[kind])
    assert with_own_attachments(type(expected).from_text(path.read_bytes(), str(path))) == expected


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_from_json_of_a_newer_schema_is_refused_by_both_numbers(kind: str) -> None:
    newer = RECORDS[kind].schema + 1
    message = f"{kind} record: expected schema {newer - 1} or older, got {newer}: .* Upgrade Redraw"
    with pytest.raises(NewerRecord, match=message):
        type(RECORDS[kind]).from_json(RECORDS[kind].to_json() | {"schema": newer, "colour": "red"})


@pytest.mark.parametrize("form", FORMS)
def test_bucket_of_each_form_is_read(form: str) -> None:
    storage = LocalStorage(GOLDEN / form / "bucket")
    release = read_release(storage, MODEL, VERSION)
    assert release is not None
    assert list_versions(storage, MODEL) == [VERSION]
    assert with_own_attachments(release) == RELEASE
    assert digest_report(release.report) == release.provenance.report_digest
    assert read_claim(storage, MODEL, VERSION) == as_of(form, CLAIM)
    assert read_pointer(storage, MODEL) == as_of(form, POINTER)
    assert [row.version for row in Browser(storage).versions(MODEL).rows] == [VERSION]


@pytest.mark.parametrize("form", FORMS)
def test_attachments_of_each_form_are_read(form: str) -> None:
    browser = Browser(LocalStorage(GOLDEN / form / "bucket"))
    release = browser.release(MODEL, VERSION)
    kept = {name: browser.attachment(release, name) for name in RELEASE.attachments}
    assert [row.key for row in read_ledger(kept["ledger.json"] or b"")] == [
        LEDGER.served[0].key,
        LEDGER.dropped[0].key,
    ]
    assert read_graphs(kept["graphs.json"] or b"").training_inputs == COMPARISON.training_inputs
    figures = read_latency(kept["latency.json"] or b"")
    assert [row.p99_ms for row in figures["serving_default"]] == [1.0, 2.0]


@pytest.mark.parametrize("form", FORMS)
def test_catalogue_run_and_export_of_each_form_are_read(form: str) -> None:
    folder = GOLDEN / form
    (checkpoint,) = list_checkpoints(Uri(folder / "catalogue"), ModelName(MODEL))
    assert replace(checkpoint, uri=CHECKPOINT.uri) == CHECKPOINT
    run = RunFolder(folder / "run")
    assert run.read_run() == RUN
    assert run.last_metrics() == {"accuracy": 0.5}
    exported = ExportedModel.from_text((folder / "export.json").read_bytes(), "export")
    assert exported == EXPORTED
    here = replace(exported, ledger_uri=str(folder / "export.ledger.json"))
    ledger = ExportFiles(exported=here, folder=folder, checkpoint=CHECKPOINT).ledger
    assert ledger["non_finite"] == [{"variable": "dense/kernel", "count": 1}]
    assert FileList.from_text((folder / "export.files.json").read_bytes(), "files").files == FILES
