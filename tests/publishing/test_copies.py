"""An export in a bucket is copied by the service: none of its bytes come here, no others are published."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from redraw.errors import NotValidated
from redraw.publish.push.push import push_model
from redraw.records import ExaminedObjects, ValidationReport
from redraw.requests import PushRequest
from redraw.storage.opening import download_tree, open_storage, read_uri, write_uri
from tests.publishing.exports import (
    Export,
    RemoteExport,
    forge_content,
    send_export,
    write_export,
    write_report,
)
from tests.publishing.faults import Fault, Wait
from tests.publishing.processes import Ended, Starter
from tests.publishing.proxy import FaultyProxy
from tests.publishing.served import demand_servable

_SHARD = "variables/variables.data-00001-of-00002"
_LARGE = 3 << 20
# Records, attachments and listings.
_SMALL = 40_000
_VERSION = "digits/2024050607080900"

Push = Callable[[RemoteExport], Ended]


@pytest.fixture
def push(proxy: FaultyProxy, starter: Starter, bucket: str, tmp_path: Path) -> Push:
    """Pushes an export in a process that has no scratch but a folder of its own."""
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "REDRAW_SCRATCH": str(tmp_path / "scratch")}
    return lambda export: starter.start(export.push_arguments(bucket), environment).wait()


@pytest.fixture
def large(tmp_path: Path, new_bucket: Callable[[], str]) -> tuple[Export, RemoteExport]:
    """An export whose shards are too large to pass unnoticed; on this machine, and validated in a bucket."""
    shards = {f"variables/variables.data-0000{n}-of-00002": os.urandom(_LARGE) for n in range(2)}
    export = write_export(tmp_path / "model", {**shards, "saved_model.pb": b"the graph"})
    return export, send_export(export, f"{new_bucket()}/run/model")


def _replace_by_forgery(export: RemoteExport, name: str) -> None:
    content = read_uri(f"{export.uri}/{name}")
    assert content is not None
    write_uri(f"{export.uri}/{name}", forge_content(content))


def _report_and_objects(export: RemoteExport) -> tuple[ValidationReport, ExaminedObjects]:
    content = read_uri(f"{export.uri}.report.json")
    assert content is not None
    report = ValidationReport.from_text(content, "report")
    assert report.objects is not None
    return report, report.objects


def _report_of(export: RemoteExport) -> ValidationReport:
    return _report_and_objects(export)[0]


def _demand_refused(ended: Ended, export: RemoteExport, name: str) -> None:
    line = ended.stderr.splitlines()[-1]
    assert ended.status == 1
    assert line.startswith(f"error [NotValidated]: {export.uri}/{name}: expected "), line


def test_push_from_a_bucket_moves_none_of_its_bytes(
    large: tuple[Export, RemoteExport], push: Push, proxy: FaultyProxy, bucket: str, tmp_path: Path
) -> None:
    local, remote = large
    ended = push(remote)
    assert ended.status == 0, ended.stderr
    assert proxy.sent + proxy.fetched < _SMALL
    assert not (tmp_path / "scratch").exists()
    fetched = download_tree(open_storage(f"{bucket}/{_VERSION}"), "", tmp_path / "copy")
    assert {item.name: (tmp_path / "copy" / item.name).read_bytes() for item in fetched} == {
        path.relative_to(local.folder).as_posix(): path.read_bytes()
        for path in local.folder.rglob("*")
        if path.is_file()
    }
    demand_servable(bucket)


@pytest.mark.parametrize("lacking", ["generations", "list", "place"])
def test_push_from_a_bucket_without_what_pins_its_objects_fetches_and_sends_them(
    large: tuple[Export, RemoteExport], push: Push, proxy: FaultyProxy, bucket: str, lacking: str
) -> None:
    _, remote = large
    match lacking:
        case "generations":  # a report of before
            write_report(replace(_report_of(remote), objects=None), remote.uri)
        case "list":
            records = open_storage(remote.uri.removesuffix("/model"))
            listed = records.stat("model.files.json")
            assert listed is not None
            records.delete(listed.name, listed.generation)
        case "place":  # validated elsewhere, and moved since
            report, objects = _report_and_objects(remote)
            elsewhere = replace(objects, uri=objects.uri.replace("/run/", "/walk/"))
            write_report(replace(report, objects=elsewhere), remote.uri)
    ended = push(remote)
    assert ended.status == 0, ended.stderr
    assert min(proxy.sent, proxy.fetched) > 2 * _LARGE
    assert not any(request.operation == "copy" for request in proxy.requests)
    demand_servable(bucket)


@pytest.mark.parametrize("name", [_SHARD, "saved_model.pb"])
def test_push_of_an_object_that_was_replaced_is_refused_by_its_name(
    remote_export: RemoteExport, push: Push, bucket: str, name: str
) -> None:
    _replace_by_forgery(remote_export, name)
    ended = push(remote_export)
    _demand_refused(ended, remote_export, name)
    assert "expected generation " in ended.stderr
    assert open_storage(bucket).list() == []


def test_push_of_an_object_that_was_replaced_without_a_generation_is_refused_by_its_digest(
    remote_export: RemoteExport, push: Push, bucket: str
) -> None:
    _replace_by_forgery(remote_export, _SHARD)
    write_report(replace(_report_of(remote_export), objects=None), remote_export.uri)
    ended = push(remote_export)
    assert "error [NotValidated]" in ended.stderr.splitlines()[-1]
    assert f"{_SHARD}: expected 2000 bytes with SHA-256" in ended.stderr
    assert not any(item.name.endswith(("_model.pb", "00.json")) for item in open_storage(bucket).list())


@pytest.mark.parametrize("name", [_SHARD, "saved_model.pb"])
def test_push_of_an_object_that_is_replaced_as_it_is_copied_is_never_loadable(
    remote_export: RemoteExport, push: Push, proxy: FaultyProxy, bucket: str, name: str
) -> None:
    replaced = Wait(function=lambda: _replace_by_forgery(remote_export, name))
    proxy.faults = [Fault(action=replaced, operation="copy", name=name)]
    _demand_refused(push(remote_export), remote_export, name)
    names = {item.name for item in open_storage(bucket).list()}
    assert not {f"{_VERSION}/{name}", f"{_VERSION}/saved_model.pb"} & names
    assert "digits/releases/2024050607080900.json" not in names


@pytest.mark.parametrize("name", ["assets/vocabulary.txt", "assets/more.txt"])
def test_push_of_an_object_that_is_gone_or_new_is_refused_by_its_name(
    remote_export: RemoteExport, push: Push, bucket: str, name: str
) -> None:
    storage = open_storage(remote_export.uri)
    if (found := storage.stat(name)) is not None:
        storage.delete(name, found.generation)
    else:
        storage.create(name, b"more")
    ended = push(remote_export)
    _demand_refused(ended, remote_export, name)
    assert "no such object" in ended.stderr.splitlines()[-1]
    assert open_storage(bucket).list() == []


def test_push_of_a_list_that_was_altered_is_refused(
    remote_export: RemoteExport, push: Push, bucket: str
) -> None:
    where = f"{remote_export.uri}.files.json"
    listed = json.loads(read_uri(where) or b"")
    listed["files"][0]["sha256"] = "0" * 64
    write_uri(where, json.dumps(listed).encode())
    ended = push(remote_export)
    assert f"error [NotValidated]: {remote_export.uri}: expected files with the digest" in ended.stderr
    assert open_storage(bucket).list() == []


def test_push_meets_a_foreign_object_as_it_copies_and_leaves_it(
    remote_export: RemoteExport, push: Push, proxy: FaultyProxy, bucket: str
) -> None:
    name = f"{_VERSION}/{_SHARD}"
    foreign = Wait(function=lambda: open_storage(bucket).create(name, b"2" * 2000))
    proxy.faults = [Fault(action=foreign, operation="copy", name=_SHARD)]
    ended = push(remote_export)
    assert f"error [ObjectConflict]: {bucket}/{name}: expected 2000 bytes" in ended.stderr.splitlines()[-1]
    assert open_storage(bucket).read(name) == b"2" * 2000
    assert f"{_VERSION}/saved_model.pb" not in {item.name for item in open_storage(bucket).list()}


def test_push_of_a_published_version_needs_its_source_no_more_than_to_look(
    remote_export: RemoteExport, push: Push, proxy: FaultyProxy
) -> None:
    first = push(remote_export)
    proxy.requests.clear()
    again = push(remote_export)
    assert (again.status, again.stdout) == (0, first.stdout)
    assert not any(request.operation in ("copy", "create") for request in proxy.requests)


def test_push_given_the_report_takes_no_word_of_the_bucket_for_it(
    remote_export: RemoteExport, bucket: str
) -> None:
    """Anyone who writes to the work bucket may alter a report there, and not one that was handed on."""
    given, objects = _report_and_objects(remote_export)
    _replace_by_forgery(remote_export, "saved_model.pb")
    stat = open_storage(remote_export.uri).stat("saved_model.pb")
    assert stat is not None
    altered = replace(objects, generations={**objects.generations, stat.name: stat.generation})
    write_report(replace(given, objects=altered), remote_export.uri)
    request = PushRequest(model="digits", saved_model=remote_export.uri, report=given, bucket=bucket)
    with pytest.raises(NotValidated, match=r"saved_model\.pb: expected generation"):
        push_model(request)
