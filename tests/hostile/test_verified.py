"""Whatever takes a published version refuses one whose records were swapped, moved or altered, unloaded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from redraw.ask import golden
from redraw.ask.ask import ask_version
from redraw.definition import GoldenExamples, Signature, TensorSpec
from redraw.errors import (
    ObjectConflict,
    RedrawError,
    SignatureInvalid,
    StorageUnavailable,
    VerificationFailed,
)
from redraw.inspect.answers.compare import compare_answers
from redraw.inspect.differences.compare import compare_weights
from redraw.publish.bucket.layout import encode_record, release_name
from redraw.publish.bucket.verified import digest_report
from redraw.publish.live.set_live import change_live
from redraw.publish.mirror import mirror_versions
from redraw.publish.passport.passport import write_passport
from redraw.publish.push.push import push_model
from redraw.publish.tracking import log_to_mlflow
from redraw.publish.verify import verify_version
from redraw.records import ExportedModel, Release, ValidationReport
from redraw.requests import (
    AskRequest,
    CompareAnswersRequest,
    DifferencesRequest,
    LiveRequest,
    LogToMlflowRequest,
    MirrorRequest,
    PassportRequest,
    PredictRequest,
    PushRequest,
    RolloutRequest,
    VerifyRequest,
)
from redraw.rollout.rollout import confirm_rollout
from redraw.serving import ServingProcess
from redraw.storage.opening import open_storage
from redraw.validate.subject.fetching import find_live_version
from tests.publishing.exports import Export, forge_content, small_files, write_export

pytestmark = pytest.mark.usefixtures("gcs_server", "nothing_loaded")


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is refused must not have been loaded before."""

    def load(self: ServingProcess, folder: Path, *_: object, **__: object) -> None:
        raise AssertionError(f"{folder} was loaded")

    monkeypatch.setattr(ServingProcess, "load", load)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    private, public = (tmp_path_factory.mktemp("keys") / name for name in ("own.pem", "own.pub"))
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    give = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(give, check=True, capture_output=True)
    return str(private), str(public)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Export, Export]:
    root = tmp_path_factory.mktemp("exports")
    return (
        write_export(root / "one", small_files(b"one"), "2024-05-06T07:08:09Z"),
        write_export(root / "two", small_files(b"two"), "2024-06-06T07:08:09Z"),
    )


def publish(export: Export, bucket: str, private_key: str | None = None) -> Release:
    record, report = (Path(f"{export.folder}{end}").read_bytes() for end in (".json", ".report.json"))
    return push_model(
        PushRequest(
            model="digits",
            saved_model=ExportedModel.from_text(record, "record"),
            report=ValidationReport.from_text(report, "report"),
            bucket=bucket,
            make_live=True,
            signing_key=private_key,
        )
    )


def rewrite(bucket: str, release: Release, content: bytes) -> None:
    storage, name = open_storage(bucket), release_name("digits", release.version)
    found = storage.stat(name)
    assert found is not None
    storage.replace(name, content, found.generation)


def predict(bucket: str, release: Release, _: Path) -> None:
    golden.predict_golden(PredictRequest(model="digits", bucket=bucket, version=release.version))


def ask(bucket: str, release: Release, folder: Path) -> None:
    inputs = {"image": np.zeros((1, 28, 28), int).tolist()}
    asked = AskRequest(
        model="digits",
        bucket=bucket,
        version=release.version,
        signature="serving_default",
        inputs=inputs,
        cache=str(folder / "cache"),
    )
    ask_version(asked)


def against(bucket: str, _: Release, folder: Path) -> None:
    live = find_live_version("digits", open_storage(bucket).uri, folder)
    assert live is not None
    assert live.folder


# Each makes use of a version, in its own way.
USES: dict[str, Callable[[str, Release, Path], object]] = {
    "ask": ask,
    "predict": predict,
    "validate --against": against,
    "live": lambda bucket, release, _: change_live(
        LiveRequest(model="digits", bucket=bucket, set=release.version, label="canary")
    ),
    "differences": lambda bucket, release, _: compare_weights(
        DifferencesRequest(model="digits", bucket=bucket, version=release.version, other=release.version)
    ),
    "compare-answers": lambda bucket, release, _: compare_answers(
        CompareAnswersRequest(model="digits", bucket=bucket, version=release.version, other=release.version)
    ),
    "mirror": lambda bucket, _, folder: mirror_versions(
        MirrorRequest(bucket=bucket, out=str(folder / "mirror"), model=("digits",))
    ),
    "log-to-mlflow": lambda bucket, release, _: log_to_mlflow(
        LogToMlflowRequest(model="digits", bucket=bucket, version=release.version)
    ),
    "rollout": lambda bucket, release, _: confirm_rollout(
        RolloutRequest(
            model="digits",
            bucket=bucket,
            version=release.version,
            servers=("grpc://127.0.0.1:1",),
            timeout=0.1,
        )
    ),
    "passport": lambda _, release, folder: write_passport(
        PassportRequest(uri=release.uri, out=str(folder / "passport"))
    ),
    "verify": lambda _, release, __: verify_version(VerifyRequest(uri=release.uri)),
}


@pytest.fixture(autouse=True)
def definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `predict` needs of a definition before it fetches a version."""
    examples = GoldenExamples(
        inputs={"image": np.zeros((1, 28, 28), np.uint8)}, labels={"digit": np.zeros(1, np.int64)}
    )
    signature = Signature(
        inputs={"image": TensorSpec("uint8", (None, 28, 28))}, outputs={"digit": TensorSpec("int64", (None,))}
    )
    known = SimpleNamespace(
        golden_examples=lambda: {"serving_default": examples}, signatures={"serving_default": signature}
    )
    monkeypatch.setattr(golden, "load_definition", lambda name: known)


def demand_refused(use: str, bucket: str, release: Release, folder: Path, message: str) -> None:
    with pytest.raises(RedrawError, match=message) as refused:
        USES[use](bucket, release, folder)
    assert not isinstance(refused.value, StorageUnavailable)
    assert "\n" not in str(refused.value)
    assert not list(folder.glob("mirror/digits/*"))


def other_version(release: Release, other: Release) -> Release:
    """The record of another version, copied there."""
    return other


def other_bucket(release: Release, other: Release) -> Release:
    """A record that names a folder of another bucket, from which nothing must be loaded."""
    return replace(release, uri=open_storage("gs://elsewhere/digits").uri / str(release.version))


def other_files(release: Release, other: Release) -> Release:
    """A record whose digest is that of other files."""
    return replace(release, digest=other.digest, report=other.report, provenance=other.provenance)


def other_checkpoint(release: Release, other: Release) -> Release:
    """A record that tells of a checkpoint of another model."""
    return replace(release, checkpoint=replace(release.checkpoint, model="mnist"))


def failing_report(release: Release, other: Release) -> Release:
    """A report that did not pass."""
    return with_report(release, replace(release.report, passed=False))


def with_report(release: Release, report: ValidationReport) -> Release:
    """Another report, and its digest, as an attacker would write them."""
    provenance = replace(release.provenance, report_digest=digest_report(report))
    return replace(release, report=report, provenance=provenance)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (other_version, "expected a record of .*, got a record of"),
        (other_bucket, "uri: expected gs://.*, got gs://elsewhere/digits"),
        (other_files, "digest: expected"),
        (other_checkpoint, "checkpoint's model: expected digits, got mnist"),
        (failing_report, "expected a passing report"),
    ],
)
def test_use_version_whose_record_is_about_something_else_is_refused(
    use: str,
    alter: Callable[[Release, Release], Release],
    message: str,
    bucket: str,
    exports: tuple[Export, Export],
    tmp_path: Path,
) -> None:
    other, release = (publish(export, bucket) for export in exports)
    rewrite(bucket, release, encode_record(alter(release, other)))
    demand_refused(use, bucket, release, tmp_path, message)


def waive_all(release: Release) -> Release:
    """Another verdict of a check, with the digest that fits it."""
    check = replace(release.report.checks[0], found="all, and more")
    return with_report(release, replace(release.report, checks=(check,)))


def approve(release: Release) -> Release:
    """Somebody else approved it."""
    return replace(release, provenance=replace(release.provenance, approved_by="mallory"))


def improve(release: Release) -> Release:
    """Better metrics than were measured."""
    return replace(release, checkpoint=replace(release.checkpoint, metrics={"accuracy": 1.0}))


def unsign(release: Release) -> Release:
    """As a version of before, of which only the files are signed."""
    return replace(release, signature="")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (waive_all, "expected a signature of this content"),
        (approve, "expected a signature of this content"),
        (improve, "expected a signature of this content"),
        (
            unsign,
            "got a signature of only the files, which does not cover report, metrics",
        ),
    ],
)
def test_use_version_altered_after_it_was_signed_is_refused(
    use: str,
    alter: Callable[[Release], Release],
    message: str,
    bucket: str,
    exports: tuple[Export, Export],
    keys: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = publish(exports[0], bucket, keys[0])
    monkeypatch.setenv("REDRAW_VERIFY_KEY", keys[1])
    assert verify_version(VerifyRequest(uri=release.uri)).passed
    rewrite(bucket, release, encode_record(alter(release)))
    demand_refused(use, bucket, release, tmp_path, message)


def test_make_live_bytes_that_were_forged_before_the_push_is_refused(
    bucket: str, exports: tuple[Export, Export], keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The push takes what is there already by size and crc32c, and signs its generation."""
    monkeypatch.setenv("REDRAW_VERIFY_KEY", keys[1])
    name = "variables/variables.data-00000-of-00002"
    weights = (exports[0].folder / name).read_bytes()
    open_storage(bucket).create(f"digits/2024050607080900/{name}", forge_content(weights))
    with pytest.raises(ObjectConflict, match=rf"{name}: expected {len(weights)} bytes with SHA-256 "):
        publish(exports[0], bucket, keys[0])
    assert change_live(LiveRequest(model="digits", bucket=bucket)).version is None


def test_verify_signed_version_copied_to_another_bucket_is_refused(
    new_bucket: Callable[[], str], exports: tuple[Export, Export], keys: tuple[str, str]
) -> None:
    source, target = new_bucket(), new_bucket()
    release, copied = publish(exports[0], source, keys[0]), publish(exports[0], target)
    storage, signature = open_storage(target), f"digits/{release.version}/model.sig"
    storage.create(signature, open_storage(source).read(signature) or b"")
    rewrite(target, copied, encode_record(replace(copied, signature=release.signature)))
    with pytest.raises(VerificationFailed, match="signature: .*expected a signature of this content"):
        verify_version(VerifyRequest(uri=copied.uri, public_key=keys[1]))


def test_push_again_with_the_key_signs_its_own_record_and_not_what_stands_there(
    bucket: str, exports: tuple[Export, Export], keys: tuple[str, str]
) -> None:
    release = publish(exports[0], bucket)
    rewrite(bucket, release, encode_record(improve(approve(release))))
    signed = publish(exports[0], bucket, keys[0])
    assert (signed.provenance.approved_by, signed.checkpoint) == (None, release.checkpoint)
    assert verify_version(VerifyRequest(uri=signed.uri, public_key=keys[1])).passed
    assert publish(exports[0], bucket, keys[0]) == signed


def test_push_where_another_key_signed_the_record_leaves_it(
    bucket: str, exports: tuple[Export, Export], keys: tuple[str, str]
) -> None:
    release = publish(exports[0], bucket, keys[0])
    rewrite(bucket, release, encode_record(approve(release)))
    with pytest.raises(SignatureInvalid, match="expected a signature of this content"):
        publish(exports[0], bucket, keys[0])
    content = open_storage(bucket).read(release_name("digits", release.version))
    assert json.loads(content or b"")["provenance"]["approved_by"] == "mallory"
