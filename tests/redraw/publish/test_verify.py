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
from redraw.publish.bucket.layout import (
    encode_record,
    old_signature_name,
    read_claim,
    read_release,
    release_name,
    signature_name,
)
from redraw.publish.bucket.signers import SigningKey
from redraw.publish.bucket.signing import sign_release, sign_version
from redraw.publish.live.set_live import change_live
from redraw.publish.mirror import mirror_versions
from redraw.publish.push.push import push_model
from redraw.publish.verify import verify_version
from redraw.records import Release
from redraw.records.results import VerifyReport
from redraw.requests import LiveRequest, MirrorRequest, VerifyRequest
from redraw.storage.opening import open_storage

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


def _make_certificates(folder: Path) -> Keys:
    """A key, and the file with its certificate and that of the root that issued it."""
    root, leaf = (_make_keys(folder, name)[0] for name in ("root", "leaf"))
    names = {name: str(folder / name) for name in ("root.crt", "leaf.csr", "leaf.crt", "usage", "chain.pem")}
    Path(names["usage"]).write_text("keyUsage=digitalSignature\n")
    own = ["req", "-x509", "-key", root, "-out", names["root.crt"], "-days", "30", "-subj", "/CN=root"]
    ask = ["req", "-new", "-key", leaf, "-out", names["leaf.csr"], "-subj", "/CN=leaf"]
    issue = ["x509", "-req", "-in", names["leaf.csr"], "-CA", names["root.crt"], "-CAkey", root]
    issue += ["-CAcreateserial", "-extfile", names["usage"], "-out", names["leaf.crt"], "-days", "30"]
    for command in (own, ask, issue):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    chain = "".join(Path(names[name]).read_text() for name in ("leaf.crt", "root.crt"))
    Path(names["chain.pem"]).write_text(chain)
    return leaf, names["chain.pem"]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return _make_certificates(tmp_path_factory.mktemp("certificates"))


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
        "passport": "passed",
        "signature": "not_run",
    }


def test_verify_rewritten_object_is_named(bucket: str, release: Release) -> None:
    name = f"digits/{release.version}/assets/vocabulary.txt"
    _rewrite(bucket, name, b"a\nc\n")
    with pytest.raises(VerificationFailed, match=rf"2 of 7 checks failed.*{name}.*SHA-256"):
        verify_version(VerifyRequest(uri=release.uri))


def test_verify_object_of_the_same_bytes_written_again_fails_by_its_generation(
    bucket: str, release: Release
) -> None:
    _rewrite(bucket, f"digits/{release.version}/assets/vocabulary.txt", b"a\nb\n")
    with pytest.raises(VerificationFailed, match="1 of 7 checks failed. objects: .*expected generation"):
        verify_version(VerifyRequest(uri=release.uri))


@pytest.mark.parametrize("content", [b"<svG/>", b"<svg/>, longer", b""])
def test_verify_attachment_of_other_bytes_is_named(bucket: str, release: Release, content: bytes) -> None:
    name = release.attachments["graphs.svg"].name
    _rewrite(bucket, name, content)
    with pytest.raises(VerificationFailed, match=rf"1 of 7 checks failed. attachments: .*{name}.*SHA-256"):
        verify_version(VerifyRequest(uri=release.uri))


def test_verify_attachment_that_is_gone_is_named(bucket: str, release: Release) -> None:
    storage, name = open_storage(bucket), release.attachments["ledger.json"].name
    found = storage.stat(name)
    assert found is not None
    storage.delete(name, found.generation)
    with pytest.raises(VerificationFailed, match=rf"1 of 7 checks failed. attachments: .*{name}"):
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


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_verify_signature_is_one_that_model_signing_itself_confirms_of_a_mirror(
    bucket: str, make_export: Any, keys: Keys, certified: Keys, tmp_path: Path, kind: str
) -> None:
    signing = keys if kind == "key" else certified
    certificates = None if kind == "key" else certified[1]
    request = replace(make_export().request(bucket, make_live=True), signing_key=signing[0])
    release = push_model(replace(request, signing_certificate=certificates))
    assert release.attachments["model.sig"].name == f"digits/{release.version}/model.sig"
    assert set(_verify(release.uri, signing[1]).values()) == {"passed"}
    mirror_versions(MirrorRequest(bucket=bucket, out=str(tmp_path / "out"), model=("digits",)))
    folder = tmp_path / "out" / "digits" / str(release.version)
    trusted = ["--public_key" if kind == "key" else "--certificate_chain", signing[1]]
    command = [sys.executable, "-m", "model_signing", "verify", kind, str(folder), *trusted]

    def confirm() -> subprocess.CompletedProcess[str]:
        flags = ["--signature", str(folder / "model.sig")]
        return subprocess.run([*command, *flags], capture_output=True, text=True, timeout=60)

    done = confirm()
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "saved_model.pb").write_bytes(b"another graph")
    assert confirm().returncode != 0


def test_verify_by_certificates_that_did_not_issue_the_key_is_refused(
    bucket: str, make_export: Any, keys: Keys, certified: Keys, tmp_path: Path
) -> None:
    request = replace(make_export().request(bucket), signing_key=certified[0])
    release = push_model(replace(request, signing_certificate=certified[1]))
    assert push_model(replace(request, signing_certificate=certified[1])) == release
    other = _make_certificates(tmp_path)
    for key in (other[1], keys[1]):
        with pytest.raises(VerificationFailed, match="1 of 7 checks failed. signature: .*model.sig"):
            verify_version(VerifyRequest(uri=release.uri, public_key=key))
    by_key = _signed(bucket, make_export, keys[0], graph=b"signed by key")
    with pytest.raises(VerificationFailed, match="signature: .*model.sig: expected a signature"):
        verify_version(VerifyRequest(uri=by_key.uri, public_key=certified[1]))


@pytest.mark.parametrize(
    ("key", "certificate", "message"),
    [
        (None, "chain.pem", "signing_certificate: expected a signing_key together with the certificate"),
        (
            "sigstore",
            "chain.pem",
            "signing_certificate: expected a signing_key together with the certificate",
        ),
        (
            "pkcs11:token=t;object=o?module-path=/none.so&pin-source=file:/1234",
            None,
            "^pkcs11:token=t;object=o: exp",
        ),
        ("pkcs11:token=t;object=o?pin-value=1234", None, "signing_key: expected a pkcs11: URI with the file"),
    ],
)
def test_push_with_keys_that_cannot_sign_says_which(
    bucket: str, make_export: Any, key: str | None, certificate: str | None, message: str
) -> None:
    def push() -> Release:
        request = make_export().request(bucket)
        return push_model(replace(request, signing_key=key, signing_certificate=certificate))

    with pytest.raises(InvalidRequest, match=message) as raised:
        push()
    assert "1234" not in str(raised.value)
    assert read_release(open_storage(bucket), "digits", 2024050607080900) is None


@pytest.mark.parametrize("key", ["sigstore:ada@example.org", "sigstore:,https://issuer", "sigstore:"])
def test_verify_by_an_identity_without_its_issuer_is_refused(
    bucket: str, make_export: Any, keys: Keys, key: str
) -> None:
    release = _signed(bucket, make_export, keys[0])
    with pytest.raises(VerificationFailed, match="sigstore:IDENTITY,ISSUER"):
        verify_version(VerifyRequest(uri=release.uri, public_key=key))


def test_verify_signature_that_changed_is_named_without_a_key(
    bucket: str, make_export: Any, keys: Keys
) -> None:
    release = _signed(bucket, make_export, keys[0])
    name = f"digits/{release.version}/model.sig"
    content = open_storage(bucket).read(name) or b""
    _rewrite(bucket, name, content + b" ")
    with pytest.raises(VerificationFailed, match=f"1 of 7 checks failed. attachments: .*{name}.*SHA-256"):
        _verify(release.uri)
    storage = open_storage(bucket)
    storage.delete_many(storage.list(name))
    with pytest.raises(VerificationFailed, match=f"1 of 7 checks failed. attachments: .*{name}"):
        _verify(release.uri)
    # A push with the key signs it again, and the record lists what is there.
    again = _signed(bucket, make_export, keys[0])
    assert again.attachments["model.sig"] != release.attachments["model.sig"]
    assert _verify(release.uri, keys[1])["attachments"] == "passed"


def test_verify_version_that_was_signed_where_signatures_lay_before_is_confirmed(
    bucket: str, make_export: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("redraw.publish.bucket.signing.signature_name", old_signature_name)
        storage = open_storage(bucket)
        release = push_model(make_export().request(bucket))
        claim = read_claim(storage, "digits", release.version)
        assert claim is not None
        sign_version(storage, claim, SigningKey(key=keys[0]))
    signed = sign_release(storage, release, SigningKey(key=keys[0]))
    _rewrite(bucket, release_name("digits", release.version), encode_record(signed))
    assert storage.stat(f"digits/{release.version}/model.sig") is None
    assert _verify(release.uri, keys[1])["signature"] == "passed"
    _signed(bucket, make_export, keys[0])
    assert storage.stat(f"digits/{release.version}/model.sig") is not None
    assert _verify(release.uri, keys[1])["signature"] == "passed"


def test_verify_signature_of_somebody_else_next_to_the_files_is_no_object_of_the_version(
    bucket: str, release: Release
) -> None:
    storage = open_storage(bucket)
    storage.create(f"digits/{release.version}/model.sig", b"{}")
    assert _verify(release.uri)["objects"] == "passed"
    storage.create(f"digits/{release.version}/assets/model.sig", b"{}")
    with pytest.raises(VerificationFailed, match="objects: .*assets/model.sig"):
        _verify(release.uri)


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
    with pytest.raises(SignatureInvalid, match=f"{foreign}/model.sig"):
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
    with pytest.raises(VerificationFailed, match=f"got a signature of digits/{first.version}"):
        verify_version(VerifyRequest(uri=second.uri, public_key=keys[1]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"dsseEnvelope": {"payload": "e30="}}',
        b"[" * 100_000,
        b'{"dsseEnvelope": ' + b'{"a": ' * 50_000,
        b'{"mediaType": "\\ud800"}',
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)
def test_verify_damaged_signature_is_one_clear_error(
    bucket: str, release: Release, keys: Keys, content: bytes
) -> None:
    open_storage(bucket).create(signature_name("digits", release.version), content)
    with pytest.raises(VerificationFailed, match="1 of 7 checks failed. signature: "):
        verify_version(VerifyRequest(uri=release.uri, public_key=keys[1]))


def test_push_signed_with_another_key_before_says_so_and_leaves_it(
    bucket: str, make_export: Any, keys: Keys, other_keys: Keys
) -> None:
    release = _signed(bucket, make_export, keys[0])
    name = signature_name("digits", release.version)
    first = open_storage(bucket).stat(name)

    with pytest.raises(
        SignatureInvalid,
        match=rf"{name}: expected .* made with {other_keys[0]}, got .* of another key",
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
    with pytest.raises(SignatureInvalid, match="got a signature of another key"):
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
