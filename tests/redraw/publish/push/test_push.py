from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import redraw.publish.push.push
from redraw.errors import BucketNotFound, InvalidName, InvalidRecord, NotValidated, ObjectConflict
from redraw.publish.bucket.layout import read_claim
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.publish.push.release import digest_report
from redraw.publish.releases import list_releases
from redraw.records import ExaminedObjects, Release, ValidationReport
from redraw.records.files import encode_files
from redraw.requests import LiveRequest, PushRequest, ReleasesRequest
from redraw.storage.files import scan_tree
from redraw.storage.opening import Storage, StoredObject, download_tree, open_storage

VERSION = 2024050607080900

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "redraw", *arguments]


def _start_push(request: PushRequest) -> subprocess.Popen[str]:
    flags = ("--saved-model", str(request.saved_model), "--report", str(request.report))
    return subprocess.Popen(
        _command("push", "--model", request.model, *flags, "--bucket", request.bucket),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _generations(bucket: str) -> dict[str, int]:
    return {item.name: item.generation for item in open_storage(bucket).list()}


def _demand_served(bucket: str, release: Release, folder: Path, scratch: Path) -> None:
    """What the bucket holds under the version is the export, byte for byte."""
    download_tree(open_storage(release.uri), "", scratch)
    assert scan_tree(scratch).digest == scan_tree(folder).digest == release.digest


def test_push_new_export_publishes_all_of_it(bucket: str, make_export: Any, tmp_path: Path) -> None:
    export = make_export()
    release = push_model(export.request(bucket))
    assert release.version == VERSION
    assert release.uri == f"{bucket}/digits/{VERSION}"
    assert (release.digest, release.size_bytes) == (export.record.digest, export.record.size_bytes)
    assert release.report == export.report
    assert release.previous is None
    _demand_served(bucket, release, export.folder, tmp_path / "copy")
    stored = open_storage(bucket).read(f"digits/releases/{VERSION}.json")
    assert stored is not None
    assert Release.from_text(stored, "bucket") == release


def test_push_new_export_creates_the_graph_last(bucket: str, make_export: Any) -> None:
    push_model(make_export().request(bucket, make_live=True))
    order = [name for _, name in sorted((number, name) for name, number in _generations(bucket).items())]
    folder = f"digits/{VERSION}/"
    assert order[0] == f"digits/releases/{VERSION}.claim.json"
    assert all(".data-" in name for name in order[1:7])
    assert order[7:] == [
        f"{folder}variables/variables.index",
        f"{folder}assets/vocabulary.txt",
        f"{folder}assets.extra/tf_serving_warmup_requests",
        f"{folder}fingerprint.pb",
        f"{folder}saved_model.pb",
        *order[12:18],
        f"digits/releases/{VERSION}.json",
        "digits/live/00000001.json",
        "digits/live.json",
        "digits/models.config",
        "digits/inference-service.yaml",
        "digits/helm-values.yaml",
    ]
    assert all(name.startswith(f"digits/reports/{VERSION}/") for name in order[12:18])


def test_push_same_export_again_changes_nothing(bucket: str, make_export: Any) -> None:
    first = push_model(make_export().request(bucket, make_live=True))
    before = _generations(bucket)
    moved = make_export()  # the same bytes from another folder
    assert push_model(moved.request(bucket, make_live=True)) == first
    assert _generations(bucket) == before


def test_push_records_given_need_no_file_beside(bucket: str, make_export: Any) -> None:
    export = make_export()
    Path(f"{export.folder}.json").unlink()
    Path(f"{export.folder}.report.json").unlink()
    release = push_model(
        PushRequest(
            model="digits", saved_model=export.record, report=export.report, bucket=f"{bucket}/models/"
        )
    )
    assert release.uri == f"{bucket}/models/digits/{VERSION}"


def test_push_export_in_a_bucket_publishes_it(bucket: str, make_export: Any, tmp_path: Path) -> None:
    export = make_export()
    scratch = open_storage(f"{bucket}/scratch")
    for file in scan_tree(export.folder).files:
        scratch.create(f"run/export/{file.name}", file.path)
    scratch.create("run/export.json", Path(f"{export.folder}.json"))
    scratch.create("run/report.json", Path(f"{export.folder}.report.json"))
    run = f"{bucket}/scratch/run"
    release = push_model(
        PushRequest(model="digits", saved_model=f"{run}/export/", report=f"{run}/report.json", bucket=bucket)
    )
    _demand_served(bucket, release, export.folder, tmp_path / "copy")


def test_digest_report_of_before_it_named_objects_stays(make_export: Any) -> None:
    """The digest that a release record of then names is still found."""
    report = make_export().report
    assert report.objects is None
    then = {key: value for key, value in report.to_json().items() if key not in ("objects", "schema")}
    text = json.dumps(then, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    read = ValidationReport.from_json(then)
    assert read == report
    assert digest_report(read) == hashlib.sha256(text.encode()).hexdigest()
    objects = ExaminedObjects(uri="gs://work/run/model", generations={"saved_model.pb": 1})
    pinned = replace(report, objects=objects)
    assert digest_report(pinned) != digest_report(report)
    assert ValidationReport.from_json(json.loads(json.dumps(pinned.to_json()))) == pinned


def test_push_other_export_of_one_checkpoint_is_the_next_revision(bucket: str, make_export: Any) -> None:
    exports = [make_export(graph=f"graph {number}".encode()) for number in range(3)]
    versions = [push_model(export.request(bucket)).version for export in exports]
    assert versions == [VERSION, VERSION + 1, VERSION + 2]
    assert push_model(exports[1].request(bucket)).version == VERSION + 1
    listed = list_releases(ReleasesRequest(model="digits", bucket=bucket))
    assert [release.version for release in listed.releases] == versions[::-1]
    assert listed.live is None


def test_push_revisions_used_up_says_so(bucket: str, make_export: Any) -> None:
    taken = push_model(make_export().request(bucket))
    claim = open_storage(bucket).read(f"digits/releases/{taken.version}.claim.json")
    assert claim is not None
    for version in range(VERSION + 1, VERSION + 50):
        own = json.dumps({**json.loads(claim), "version": version}).encode()
        open_storage(bucket).create(f"digits/releases/{version}.claim.json", own)
    with pytest.raises(ObjectConflict, match="no free version number for a checkpoint trained at 2"):
        push_model(make_export(graph=b"another").request(bucket))


def test_push_make_live_of_older_weights_leaves_the_pointer(
    bucket: str, make_export: Any, caplog: pytest.LogCaptureFixture
) -> None:
    newer = push_model(make_export().request(bucket, make_live=True))
    older_export = make_export(trained_at="2023-01-02T03:04:05Z")
    with caplog.at_level(logging.WARNING):
        older = push_model(older_export.request(bucket, make_live=True))
    assert older.version < newer.version
    assert older.previous == newer.version
    assert change_live(LiveRequest(model="digits", bucket=bucket)).version == newer.version
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "not made live" in warning


def test_push_failed_report_is_refused(bucket: str, make_export: Any) -> None:
    export = make_export()
    (check,) = export.report.checks
    failed = replace(export.report, passed=False, checks=(replace(check, name="parity", status="failed"),))
    with pytest.raises(NotValidated, match="failures of parity"):
        push_model(replace(export.request(bucket), report=failed))
    assert _generations(bucket) == {}


def test_push_report_that_did_not_pass_though_each_of_its_checks_did_is_refused(
    bucket: str, make_export: Any
) -> None:
    export = make_export()
    with pytest.raises(NotValidated, match="got failures of the report as a whole"):
        push_model(replace(export.request(bucket), report=replace(export.report, passed=False)))
    assert _generations(bucket) == {}


def test_push_report_of_another_export_is_refused(bucket: str, make_export: Any) -> None:
    export, other = make_export(), make_export(graph=b"another")
    with pytest.raises(NotValidated) as refused:
        push_model(replace(export.request(bucket), report=other.report))
    assert export.record.digest in str(refused.value)
    assert other.record.digest in str(refused.value)
    assert _generations(bucket) == {}


def test_push_file_altered_after_validation_is_refused(bucket: str, make_export: Any) -> None:
    export = make_export()
    (export.folder / "saved_model.pb").write_bytes(b"the grapH")
    with pytest.raises(NotValidated) as refused:
        push_model(export.request(bucket))
    assert export.record.digest in str(refused.value)
    assert scan_tree(export.folder).digest in str(refused.value)
    assert _generations(bucket) == {}


def _list_files(export: Any) -> None:
    """Write the list that export writes next to the folder."""
    Path(f"{export.folder}.files.json").write_bytes(encode_files(scan_tree(export.folder).files))


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00002-of-00006"])
def test_push_listed_file_altered_after_validation_is_never_loadable(
    bucket: str, make_export: Any, name: str
) -> None:
    export = make_export()
    _list_files(export)
    whole = (export.folder / name).read_bytes()
    (export.folder / name).write_bytes(whole[:-1] + b"~")
    with pytest.raises(NotValidated, match=rf"{name}: expected {len(whole)} bytes with SHA-256"):
        push_model(export.request(bucket))
    found = _generations(bucket)
    assert not {f"digits/{VERSION}/{name}", f"digits/{VERSION}/saved_model.pb"} & set(found)
    assert f"digits/releases/{VERSION}.json" not in found

    (export.folder / name).write_bytes(whole)
    assert push_model(export.request(bucket)).version == VERSION


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "assets/vocabulary.txt").write_bytes(b"a"),
            "expected 4 bytes.* got 1 bytes",
        ),
        (lambda folder: (folder / "assets/vocabulary.txt").unlink(), "expected 4 bytes.* got no such file"),
        (lambda folder: (folder / "more").write_bytes(b"a"), "more: expected no such file.* got 1 bytes"),
    ],
)
def test_push_folder_that_is_not_the_list_is_refused_at_once(
    bucket: str, make_export: Any, spoil: Callable[[Path], object], message: str
) -> None:
    export = make_export()
    _list_files(export)
    spoil(export.folder)
    with pytest.raises(NotValidated, match=message):
        push_model(export.request(bucket))
    assert _generations(bucket) == {}


def test_push_list_of_another_export_is_refused(bucket: str, make_export: Any) -> None:
    export, other = make_export(), make_export(graph=b"other")
    _list_files(other)
    Path(f"{other.folder}.files.json").rename(f"{export.folder}.files.json")
    with pytest.raises(NotValidated, match=r"saved_model\.pb: expected 5 bytes"):
        push_model(export.request(bucket))


def test_push_published_export_again_reads_none_of_its_files(
    bucket: str, make_export: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = make_export()
    _list_files(export)
    first = push_model(export.request(bucket))
    opened: list[Path] = []
    open_path = Path.open

    def note(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path)
        return open_path(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", note)
    assert push_model(export.request(bucket)) == first
    assert [path for path in opened if export.folder in path.parents] == []


def test_push_again_puts_back_what_was_lost(gcs_server: str, bucket: str, make_export: Any) -> None:
    export = make_export()
    first = push_model(export.request(bucket, make_live=True))
    storage = open_storage(bucket)
    lost = storage.stat(f"digits/{VERSION}/assets/vocabulary.txt")
    assert lost is not None
    storage.delete(lost.name, lost.generation)

    again = push_model(export.request(bucket))

    assert again == replace(first, generations=again.generations)
    changed = {name for name, number in again.generations.items() if first.generations[name] != number}
    assert changed == {"assets/vocabulary.txt"}
    assert change_live(LiveRequest(model="digits", bucket=bucket, set=VERSION)).version == VERSION


def _other_model(request: PushRequest) -> PushRequest:
    return replace(request, model="letters")


def _no_record(request: PushRequest) -> PushRequest:
    Path(f"{request.saved_model}.json").unlink()
    return request


def _no_report(request: PushRequest) -> PushRequest:
    return replace(request, report=f"{request.report}.absent")


def _record_for_report(request: PushRequest) -> PushRequest:
    return replace(request, report=f"{request.saved_model}.json")


def _report_of_other_model(request: PushRequest) -> PushRequest:
    report = ValidationReport.from_text(Path(str(request.report)).read_text(), "report")
    return replace(request, report=replace(report, model="letters"))


def _no_folder(request: PushRequest) -> PushRequest:
    Path(str(request.saved_model)).rename(f"{request.saved_model}.moved")
    return request


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_model, "expected model 'letters', got 'digits'"),
        (_no_record, r"expected the record that 'redraw export' writes .* found no such file"),
        (_no_report, r"expected the report that 'redraw validate' writes, found no such file"),
        (_record_for_report, "expected a ValidationReport record, got 'ExportedModel'"),
        (_report_of_other_model, "report: expected model 'digits', got 'letters'"),
        (_no_folder, "expected the folder of a SavedModel, found none"),
    ],
)
def test_push_wrong_records_are_refused(
    bucket: str, make_export: Any, spoil: Callable[[PushRequest], PushRequest], message: str
) -> None:
    request = spoil(make_export().request(bucket))
    with pytest.raises(InvalidRecord, match=message):
        push_model(request)
    assert _generations(bucket) == {}


@pytest.mark.parametrize("model", ["../digits", "Digits", "di gits", "a/b", "digits\n", ""])
def test_push_odd_model_name_is_refused(bucket: str, make_export: Any, model: str) -> None:
    with pytest.raises(InvalidName):
        push_model(replace(make_export().request(bucket), model=model))


@pytest.mark.parametrize("uri", ["/local/folder", "gs://a/../b", "gs://UPPER", "gs://a b", "s3://abc"])
def test_push_odd_bucket_is_refused(make_export: Any, uri: str) -> None:
    with pytest.raises(InvalidName):
        push_model(make_export().request(uri))


def test_push_missing_bucket_is_one_clear_line(make_export: Any) -> None:
    request = make_export().request("gs://no-such-bucket-here")
    with pytest.raises(BucketNotFound, match=r"gs://no-such-bucket-here.*create the bucket"):
        push_model(request)
    pushing = _start_push(request)
    output, errors = pushing.communicate(timeout=60)
    assert (pushing.returncode, output) == (1, "")
    assert "create the bucket" in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_push_other_content_in_the_way_is_named_and_left(bucket: str, make_export: Any, name: str) -> None:
    export = make_export()
    content = bytes(len((export.folder / name).read_bytes()))
    blocking = open_storage(bucket).create(f"digits/{VERSION}/{name}", content)
    with pytest.raises(ObjectConflict, match=rf"{bucket}/digits/{VERSION}/{name}: expected .* crc32c"):
        push_model(export.request(bucket))
    assert open_storage(bucket).stat(blocking.name) == blocking
    assert f"digits/releases/{VERSION}.json" not in _generations(bucket)


def test_push_foreign_object_in_the_version_is_named(bucket: str, make_export: Any) -> None:
    open_storage(bucket).create(f"digits/{VERSION}/assets/foreign", b"x")
    with pytest.raises(ObjectConflict, match=r"assets/foreign: expected only the 11 objects"):
        push_model(make_export().request(bucket))


class _Stopped(BaseException):
    """The process ends here, whatever would have caught an error."""


class _StoppingStorage:
    """The real storage, until the call of a number: that one is made, and nothing after it."""

    def __init__(self, storage: Storage, calls: int) -> None:
        self._storage = storage
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            if self._left <= 0:
                raise _Stopped
            self._left -= 1
            return found(*arguments)

        return call


def _demand_never_half(bucket: str, version: int) -> None:
    """Whatever a server could load is there to the last byte."""
    storage = open_storage(bucket)
    objects: dict[str, StoredObject] = {item.name: item for item in storage.list("digits/")}
    claim = read_claim(storage, "digits", version)
    folder = f"digits/{version}"
    loadable = f"{folder}/saved_model.pb" in objects
    released = f"digits/releases/{version}.json" in objects
    assert loadable or not released
    if loadable:
        assert claim is not None
        for entry in claim.manifest:
            found = objects[f"{folder}/{entry.name}"]
            assert (found.size, found.crc32c) == (entry.size, entry.crc32c)


def test_push_stopped_after_every_call_carries_on(
    bucket: str, make_export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = make_export()
    stops = 0
    finished = False
    while not finished:
        place = f"{bucket}/{stops}"
        with monkeypatch.context() as patch:
            stopping = _StoppingStorage(open_storage(place), stops)
            patch.setattr(redraw.publish.push.push, "open_storage", lambda uri, stopping=stopping: stopping)
            try:
                push_model(export.request(place, make_live=True))
                finished = True
            except _Stopped:
                stops += 1
        _demand_never_half(place, VERSION)
        release = push_model(export.request(place, make_live=True))
        assert release.version == VERSION
        _demand_served(place, release, export.folder, tmp_path / f"copy-{stops}-{finished}")
        assert change_live(LiveRequest(model="digits", bucket=place)).version == VERSION
    assert stops > 20


def test_push_killed_while_sending_carries_on(bucket: str, make_export: Any, tmp_path: Path) -> None:
    shards = {f"variables/variables.data-{n:05d}-of-00060": os.urandom(1 << 20) for n in range(60)}
    export = make_export(files=shards)
    pushing = _start_push(export.request(bucket))
    assert pushing.stderr is not None
    for line in pushing.stderr:
        if "sent variables/variables.data-00003" in line:
            pushing.send_signal(signal.SIGKILL)
            break
    pushing.communicate(timeout=30)
    assert pushing.returncode == -signal.SIGKILL
    before = _generations(bucket)
    assert f"digits/{VERSION}/saved_model.pb" not in before
    sent = {name: number for name, number in before.items() if ".data-" in name}
    assert 0 < len(sent) < 60

    release = push_model(export.request(bucket))
    after = _generations(bucket)
    assert {name: after[name] for name in sent} == sent
    _demand_served(bucket, release, export.folder, tmp_path / "copy")


def test_push_same_export_by_processes_at_once_is_one_version(bucket: str, make_export: Any) -> None:
    export = make_export()
    pushing = [_start_push(export.request(bucket)) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in pushing]
    assert [process.returncode for process in pushing] == [0, 0, 0], outputs
    releases = {output for output, _ in outputs}
    assert len(releases) == 1
    assert json.loads(releases.pop())["version"] == VERSION
    assert [name for name in _generations(bucket) if name.endswith("claim.json")] == [
        f"digits/releases/{VERSION}.claim.json"
    ]


def test_push_other_exports_by_processes_at_once_are_as_many_versions(
    bucket: str, make_export: Any, tmp_path: Path
) -> None:
    exports = [make_export(graph=f"graph {number}".encode()) for number in range(3)]
    pushing = [_start_push(export.request(bucket)) for export in exports]
    outputs = [process.communicate(timeout=120) for process in pushing]
    assert [process.returncode for process in pushing] == [0, 0, 0], outputs
    releases = [Release.from_text(output, "push") for output, _ in outputs]
    assert {release.version for release in releases} == {VERSION, VERSION + 1, VERSION + 2}
    for number, (export, release) in enumerate(zip(exports, releases, strict=True)):
        _demand_served(bucket, release, export.folder, tmp_path / f"copy-{number}")


def test_push_and_live_and_releases_import_no_tensorflow(bucket: str, make_export: Any) -> None:
    request = make_export().request(bucket, make_live=True)
    script = f"""
import sys
from redraw.__main__ import main
push = ["--saved-model", {request.saved_model!r}, "--report", {request.report!r}, "--make-live"]
for command, flags in (("push", push), ("live", []), ("live", ["--set", "{VERSION}"]), ("releases", [])):
    assert main([command, "--model", "digits", "--bucket", {bucket!r}, *flags]) == 0
print([name for name in ("tensorflow", "keras") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
