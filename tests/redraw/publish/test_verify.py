from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraw.errors import (
    InvalidName,
    InvalidRequest,
    RedrawError,
    SignatureInvalid,
    StorageUnavailable,
    VerificationFailed,
    VersionNotFound,
)
from redraw.publish.bucket.layout import encode_record, read_release, release_name, signature_name
from redraw.publish.live.set_live import change_live
from redraw.publish.push.push import push_model
from redraw.publish.verify import verify_version
from redraw.records import Release
from redraw.records.results import VerifyReport
from redraw.requests import LiveRequest, VerifyRequest
from redraw.storage.opening import download_tree, open_storage

pytestmark = pytest.mark.usefixtures("gcs_server", "loadable")

Keys = tuple[str, str]


def _make_keys(folder: Path, name: str) -> Keys:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    give = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(give, check=True, capture_output=True)
    return str(private), str(public)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return _make_keys(tmp_path_factory.mktemp("keys"), "own")


@pytest.fixture(scope="module")
def other_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return _make_keys(tmp_path_factory.mktemp("keys"), "other")


@pytest.fixture
def release(bucket: str, make_export: Any) -> Release:
    return push_model(replace(make_export().request(bucket), by="ada", dag_run="dag/run", try_number=2))


def _signed(bucket: str, make_export: Any, key: str, **export: Any) -> Release:
    return push_model(replace(make_export(**export).request(bucket), signing_key=key))


def _verify(uri: str, public_key: str | None = None) -> dict[str, str]:
    report = verify_version(VerifyRequest(uri=uri, public_key=public_key))
    assert report.passed
    return {check.name: check.status for check in report.checks}


def _rewrite(bucket: str, name: str, content: bytes) -> None:
    storage = open_storage(bucket)
    found = storage.stat(name)
    assert found is not None
    storage.replace(name, content, found.generation)


def test_push_records_who_asked_and_what_of(release: Release) -> None:
    provenance = release.provenance
    assert (provenance.asked_by, provenance.dag_run, provenance.try_number) == ("ada", "dag/run", 2)
    assert release.ledger.dropped == {"optimizer": 2}
    assert len(release.generations) == 11


def test_verify_untouched_version_passes_every_check(release: Release) -> None:
    assert _verify(release.uri) == {
        "records": "passed",
        "report": "passed",
        "objects": "passed",
        "content": "passed",
        "attachments": "passed",
        "signature": "not_run",
    }


def test_verify_rewritten_object_is_named(bucket: str, release: Release) -> None:
    name = f"digits/{release.version}/assets/vocabulary.txt"
    _rewrite(bucket, name, b"a\nc\n")
    with pytest.raises(VerificationFailed, match=rf"2 of 6 checks failed.*{name}.*SHA-256"):
        verify_version(VerifyRequest(uri=release.uri))


def test_verify_object_of_the_same_bytes_written_again_fails_by_its_generation(
    bucket: str, release: Release
) -> None:
    _rewrite(bucket, f"digits/{release.version}/assets/vocabulary.txt", b"a\nb\n")
    with pytest.raises(VerificationFailed, match="1 of 6 checks failed. objects: .*expected generation"):
        verify_version(VerifyRequest(uri=release.uri))


@pytest.mark.parametrize("content", [b"<svG/>", b"<svg/>, longer", b""])
def test_verify_attachment_of_other_bytes_is_named(bucket: str, release: Release, content: bytes) -> None:
    name = release.attachments["graphs.svg"].name
    _rewrite(bucket, name, content)
    with pytest.raises(VerificationFailed, match=rf"1 of 6 checks failed. attachments: .*{name}.*SHA-256"):
        verify_version(VerifyRequest(uri=release.uri))


def test_verify_attachment_that_is_gone_is_named(bucket: str, release: Release) -> None:
    storage, name = open_storage(bucket), release.attachments["ledger.json"].name
    found = storage.stat(name)
    assert found is not None
    storage.delete(name, found.generation)
    with pytest.raises(VerificationFailed, match=rf"1 of 6 checks failed. attachments: .*{name}"):
        verify_version(VerifyRequest(uri=release.uri))


def test_verify_release_without_attachments_passes(bucket: str, release: Release) -> None:
    old = replace(release, attachments={})
    _rewrite(bucket, release_name("digits", release.version), encode_record(old))
    assert _verify(release.uri)["attachments"] == "passed"


def _other_attachment(release: Release) -> Release:
    elsewhere = replace(release.attachments["graphs.svg"], name="digits/live.json")
    return replace(release, attachments={**release.attachments, "graphs.svg": elsewhere})


def _other_report(release: Release) -> Release:
    return replace(release, report=replace(release.report, validated_at="2020-01-01T00:00:00Z"))


def _other_size(release: Release) -> Release:
    return replace(release, size_bytes=1)


def _other_digest(release: Release) -> Release:
    return replace(release, digest="0" * 64)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (_other_report, "report: expected a report with SHA-256"),
        (_other_size, "records: size: expected 18037, got 1"),
        (_other_attachment, "attachments: .*expected the object digits/reports/.*, got digits/live.json"),
        (_other_digest, "records: digest: expected [0-9a-f]{64}, got 0000"),
    ],
)
def test_verify_altered_record_is_named(bucket: str, release: Release, alter: Any, message: str) -> None:
    _rewrite(bucket, release_name("digits", release.version), encode_record(alter(release)))
    with pytest.raises(VerificationFailed, match=message):
        verify_version(VerifyRequest(uri=release.uri))


@pytest.mark.parametrize(
    "step", ["read_published", "demand_published", "demand_content", "demand_attachments", "demand_signed"]
)
def test_verify_while_the_storage_does_not_answer_is_no_verdict(
    step: str, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise StorageUnavailable("gs://b: expected an answer, got none in 60 s. Try again later.")

    monkeypatch.setattr(f"redraw.publish.verify.{step}", silent)
    with pytest.raises(StorageUnavailable, match="expected an answer") as raised:
        _verify(release.uri, public_key="any.pub")
    assert raised.value.retryable


def test_verify_absent_version_is_not_found(bucket: str, release: Release) -> None:
    with pytest.raises(VersionNotFound):
        verify_version(VerifyRequest(uri=f"{bucket}/digits/{release.version + 1}"))


@pytest.mark.parametrize("uri", ["gs://bucket", "gs://bucket/digits/latest", "/local/digits/1", "12"])
def test_verify_uri_of_another_form_is_refused(uri: str) -> None:
    with pytest.raises(InvalidName):
        verify_version(VerifyRequest(uri=uri))


def test_verify_signed_version_is_confirmed_by_the_public_key(
    bucket: str, make_export: Any, keys: Keys
) -> None:
    release = _signed(bucket, make_export, keys[0])
    assert _verify(release.uri, keys[1])["signature"] == "passed"


def test_verify_signature_is_one_that_model_signing_itself_confirms(
    bucket: str, make_export: Any, keys: Keys, tmp_path: Path
) -> None:
    release = _signed(bucket, make_export, keys[0])
    folder, signature = tmp_path / "model", tmp_path / "signature"
    download_tree(open_storage(release.uri), "", folder)
    content = open_storage(bucket).read(signature_name("digits", release.version))
    assert content is not None
    signature.write_bytes(content)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    flags = ["--signature", str(signature), "--public_key", keys[1]]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_live_with_a_public_key_takes_only_what_its_private_key_signed(
    bucket: str, make_export: Any, keys: Keys, other_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsigned = push_model(make_export().request(bucket)).version
    signed = _signed(bucket, make_export, keys[0], graph=b"signed").version
    foreign = _signed(bucket, make_export, other_keys[0], graph=b"foreign").version

    def live(version: int, key: str | None = None) -> Any:
        return change_live(LiveRequest(model="digits", bucket=bucket, set=version, public_key=key))

    with pytest.raises(SignatureInvalid, match="expected a signature that .* confirms, got none"):
        live(unsigned, keys[1])
    with pytest.raises(SignatureInvalid, match=f"releases/{foreign}.sig.json"):
        live(foreign, keys[1])
    assert change_live(LiveRequest(model="digits", bucket=bucket)).version is None
    monkeypatch.setenv("REDRAW_VERIFY_KEY", keys[1])
    with pytest.raises(SignatureInvalid):
        live(unsigned)
    with pytest.raises(SignatureInvalid):
        push_model(make_export().request(bucket, make_live=True))
    assert live(signed).version == signed


def test_live_with_a_public_key_refuses_bytes_that_were_not_signed(
    bucket: str, make_export: Any, keys: Keys
) -> None:
    """A writer of the bucket can fit size, checksum and record to other bytes, but not the SHA-256."""
    release = _signed(bucket, make_export, keys[0])
    claim_name = f"digits/releases/{release.version}.claim.json"
    storage = open_storage(bucket)
    _rewrite(bucket, f"digits/{release.version}/assets/vocabulary.txt", b"x\ny\n")
    (found,) = storage.list(f"digits/{release.version}/assets/vocabulary.txt")
    claim = json.loads(storage.read(claim_name) or b"")
    for entry in claim["manifest"]:
        if entry["name"] == "assets/vocabulary.txt":
            entry["crc32c"] = found.crc32c
    _rewrite(bucket, claim_name, json.dumps(claim).encode())
    generations = {**release.generations, "assets/vocabulary.txt": found.generation}
    record = replace(release, generations=generations)
    _rewrite(bucket, release_name("digits", release.version), encode_record(record))

    with pytest.raises(RedrawError, match=r"vocabulary\.txt: expected 4 bytes with SHA-256"):
        change_live(LiveRequest(model="digits", bucket=bucket, set=release.version, public_key=keys[1]))


def test_verify_signature_of_another_version_is_refused(bucket: str, make_export: Any, keys: Keys) -> None:
    first = _signed(bucket, make_export, keys[0])
    second = push_model(make_export(trained_at="2025-01-01T00:00:00Z").request(bucket))
    storage = open_storage(bucket)
    content = storage.read(signature_name("digits", first.version))
    assert content is not None
    storage.create(signature_name("digits", second.version), content)
    with pytest.raises(VerificationFailed, match=f"got one of digits/{first.version}"):
        verify_version(VerifyRequest(uri=second.uri, public_key=keys[1]))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"dsseEnvelope": {"payload": "e30="}}'])
def test_verify_damaged_signature_is_one_clear_error(
    bucket: str, release: Release, keys: Keys, content: bytes
) -> None:
    open_storage(bucket).create(signature_name("digits", release.version), content)
    with pytest.raises(VerificationFailed, match="1 of 6 checks failed. signature: "):
        verify_version(VerifyRequest(uri=release.uri, public_key=keys[1]))


def test_push_signed_with_another_key_before_says_so_and_leaves_it(
    bucket: str, make_export: Any, keys: Keys, other_keys: Keys
) -> None:
    release = _signed(bucket, make_export, keys[0])
    name = signature_name("digits", release.version)
    first = open_storage(bucket).stat(name)

    with pytest.raises(
        SignatureInvalid, match=rf"{name}: expected .* made with {other_keys[0]}, got another"
    ):
        _signed(bucket, make_export, other_keys[0])

    assert open_storage(bucket).stat(name) == first
    assert _verify(release.uri, keys[1])["signature"] == "passed"
    # With the same key, or with none, it is the same version as ever.
    assert _signed(bucket, make_export, keys[0]) == push_model(make_export().request(bucket)) == release


def test_push_signed_where_something_else_stands_is_not_released(
    bucket: str, make_export: Any, keys: Keys
) -> None:
    open_storage(bucket).create("digits/releases/2024050607080900.sig.json", b"{}")
    with pytest.raises(SignatureInvalid, match="got another"):
        _signed(bucket, make_export, keys[0])
    assert read_release(open_storage(bucket), "digits", 2024050607080900) is None


def test_push_with_a_key_that_is_none_says_how_to_make_one(
    bucket: str, make_export: Any, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="expected an elliptic curve key .*'openssl ecparam"):
        _signed(bucket, make_export, str(tmp_path / "absent"))
    assert read_release(open_storage(bucket), "digits", 2024050607080900) is None


def test_verify_command_prints_the_report(release: Release) -> None:
    command = [sys.executable, "-m", "redraw", "verify", release.uri]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert VerifyReport.from_text(done.stdout, "verify").version == release.version
