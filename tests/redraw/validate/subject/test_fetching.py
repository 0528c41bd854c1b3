from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from redraw.records import ExaminedObjects, ExportedModel
from redraw.requests import ValidateRequest
from redraw.storage.files import digest_tree, scan_tree
from redraw.storage.opening import open_storage, upload_tree
from redraw.validate.plan import PLAN
from redraw.validate.subject.fetching import Fetched, fetch_files
from redraw.validate.validator import examine

_DIGEST = [planned for planned in PLAN if planned.name == "digest"]


def _fetch(exported: ExportedModel, scratch: Path) -> Fetched:
    request = ValidateRequest(model="line", saved_model=exported, report=str(scratch / "report.json"))
    return fetch_files(request, exported, scratch)


def test_fetch_files_of_a_bucket_notes_the_generation_of_each(
    hand_made: Any, bucket: str, tmp_path: Path
) -> None:
    exported = hand_made.write()
    storage = open_storage(f"{bucket}/run")
    upload_tree(storage, "model", scan_tree(hand_made.folder).files)
    fetched = _fetch(replace(exported, uri=f"{bucket}/run/model"), tmp_path)
    assert digest_tree(fetched.folder) == digest_tree(hand_made.folder)
    listed = open_storage(f"{bucket}/run/model").list()
    generations = {item.name: item.generation for item in listed}
    assert fetched.objects == ExaminedObjects(uri=f"{bucket}/run/model", generations=generations)


def test_fetch_files_of_this_machine_leaves_them_where_they_are(hand_made: Any, tmp_path: Path) -> None:
    assert _fetch(hand_made.write(), tmp_path) == Fetched(folder=hand_made.folder)


def test_examine_names_objects_only_of_bytes_that_have_the_digest(hand_made: Any) -> None:
    exported = hand_made.write()
    noted = ExaminedObjects(uri="gs://work/run/model", generations={"saved_model.pb": 7})
    reports = []
    for digest in (exported.digest, "0" * 64):
        subject = hand_made.as_written(replace(exported, digest=digest))
        subject.objects = noted
        reports.append(examine(subject, {}, _DIGEST))
    assert [(report.passed, report.objects) for report in reports] == [(True, noted), (False, None)]
