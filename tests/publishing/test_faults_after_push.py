"""Passports and events of a storage that refuses or loses requests: nothing half is made or believed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from redraw.errors import StorageForbidden, VersionNotFound
from redraw.publish.changes import list_events
from redraw.publish.passport.passport import PASSPORT_FILES, list_passport, write_passport
from redraw.publish.push.push import push_model
from redraw.publish.verify import verify_version
from redraw.records import ExportedModel, ValidationReport
from redraw.requests import EventsRequest, PassportRequest, PushRequest, VerifyRequest
from redraw.storage.opening import open_storage
from tests.publishing.exports import Export
from tests.publishing.faults import Fault, HangUp, Moment, Refuse
from tests.publishing.proxy import FaultyProxy

pytestmark = pytest.mark.usefixtures("unloadable")

# What is written before the release record, which is what makes a version; then what follows the pointer.
BEFORE = ("model.sig", *PASSPORT_FILES, "00.json")
AFTER = ("models.config", "inference-service.yaml", "helm-values.yaml")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A private key, and its public one."""
    private, public = (str(tmp_path_factory.mktemp("keys") / name) for name in ("own.pem", "own.pub"))
    make = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private]
    for command in (make, ["ec", "-in", private, "-pubout", "-out", public]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return private, public


@pytest.fixture
def request_(export: Export, bucket: str, keys: tuple[str, str]) -> PushRequest:
    record, report = (Path(f"{export.folder}{end}").read_bytes() for end in (".json", ".report.json"))
    return PushRequest(
        model="digits",
        saved_model=ExportedModel.from_text(record, "record"),
        report=ValidationReport.from_text(report, "report"),
        bucket=bucket,
        make_live=True,
        signing_key=keys[0],
    )


@pytest.mark.parametrize("moment", [Moment.ARRIVED, Moment.ACTED])
@pytest.mark.parametrize("name", [*BEFORE, *AFTER])
def test_push_again_after_an_object_was_refused_completes_the_signed_version(  # noqa: PLR0913 - fixtures
    name: str,
    moment: Moment,
    request_: PushRequest,
    keys: tuple[str, str],
    proxy: FaultyProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy.faults = [
        Fault(action=Refuse(status=403), moment=moment, operation="create", name=name, count=10**6)
    ]
    with monkeypatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        with pytest.raises(StorageForbidden) as failed:
            push_model(request_)
    message = str(failed.value)
    assert "\n" not in message
    assert name in message
    assert ("is live, but models.config or a deployment file next to it could not be written" in message) == (
        name in AFTER
    )
    uri = f"{request_.bucket}/digits/2024050607080900"
    record_is_there = name in AFTER or (name == "00.json" and moment is Moment.ACTED)
    if not record_is_there:
        with pytest.raises(VersionNotFound):
            verify_version(VerifyRequest(uri=uri, public_key=keys[1]))

    release = push_model(request_)
    assert release.uri == uri
    assert list_passport(release) == PASSPORT_FILES
    assert verify_version(VerifyRequest(uri=uri, public_key=keys[1])).passed
    passport = write_passport(PassportRequest(uri=uri, out=str(tmp_path / "out"), public_key=keys[1]))
    storage = open_storage(request_.bucket)
    for deployment in ("inference-service.yaml", "helm-values.yaml"):
        assert storage.read(f"digits/{deployment}") == (tmp_path / "out" / deployment).read_bytes()
    assert set(PASSPORT_FILES) < set(passport.files)
    assert push_model(replace(request_, by="bob")) == release


@pytest.mark.parametrize("moment", [Moment.ARRIVED, Moment.ACTED, Moment.ANSWERING])
def test_events_with_every_request_lost_once_are_all_events(
    moment: Moment, request_: PushRequest, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_model(request_)
    asked = EventsRequest(model=request_.model, bucket=request_.bucket)
    undisturbed = list_events(asked)
    proxy.faults = [Fault(action=HangUp(), moment=moment, once_each=True)]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    assert list_events(asked) == undisturbed
    assert [event.kind for event in undisturbed.events] == ["push", "live"]
    proxy.faults = [Fault(action=Refuse(status=403), moment=moment, operation="read", count=10**6)]
    if moment is not Moment.ANSWERING:
        with pytest.raises(StorageForbidden, match=r"^gs://[^\n]+$"):
            list_events(asked)
