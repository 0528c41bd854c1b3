import functools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.errors import InvalidRecord, ValidationFailed
from redraw.models.mnist import Mnist
from redraw.records import Check, Checkpoint, ExportedModel, TensorSpec, ValidationReport
from redraw.records.attachments import read_description
from redraw.requests import ValidateRequest
from redraw.storage.files import digest_tree
from redraw.validate.plan import PLAN
from redraw.validate.validator import Validator, validate_model

NAMES = [planned.name for planned in PLAN]

Copy = Callable[[], ExportedModel]
Failed = Callable[..., dict[str, Check]]


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    """Has its processes started once."""
    with Validator() as one:
        yield one


@pytest.fixture
def copy_export(mnist_export: ExportedModel, tmp_path: Path) -> Copy:
    """Copies the export so that a test may damage it."""

    def copy() -> ExportedModel:
        shutil.copytree(mnist_export.uri, tmp_path / "model")
        return replace(mnist_export, uri=str(tmp_path / "model"))

    return copy


def sealed(exported: ExportedModel) -> ExportedModel:
    """The record of files that were changed before anybody took their digest."""
    return replace(exported, digest=digest_tree(Path(exported.uri))[0])


@pytest.fixture
def failed_checks(validator: Validator, tmp_path: Path) -> Callable[..., dict[str, Check]]:
    """Validates what must not pass: name to failed check."""
    return functools.partial(_failed_checks, validator, tmp_path)


def _failed_checks(
    validator: Validator, tmp_path: Path, exported: ExportedModel, **more: object
) -> dict[str, Check]:
    report = tmp_path / "report.json"
    with pytest.raises(ValidationFailed, match="checks of mnist failed") as caught:
        validator.validate(
            ValidateRequest(model="mnist", saved_model=exported, report=str(report), **more)  # type: ignore[arg-type]
        )
    written = ValidationReport.from_text(report.read_bytes(), "report")
    assert not written.passed
    assert sorted(check.name for check in written.checks) == sorted(NAMES)
    failed = {check.name: check for check in written.checks if check.status == "failed"}
    assert failed
    for name, check in failed.items():
        assert name in str(caught.value)
        assert check.advice
    return failed


def test_validate_good_export_passes_every_check(
    mnist_export: ExportedModel, copy_export: Copy, tmp_path: Path
) -> None:
    path, exported = tmp_path / "deep" / "report.json", copy_export()
    # Neither the checks nor the C++ loader take a signature for one of the files.
    (Path(exported.uri) / "model.sig").write_text("{}")
    report = validate_model(ValidateRequest(model="mnist", saved_model=exported, report=str(path)))
    assert report.passed
    said = read_description(Path(report.attachments["definition.json"]).read_bytes())
    assert said.intended_use == Mnist.intended_use
    assert said.data_sets == Mnist.data_sets
    assert report.digest == mnist_export.digest
    assert [check.name for check in report.checks] == NAMES
    # No other witness is named, and no version is live.
    unasked = ["reference-answers", "live-answers"]
    assert [check.name for check in report.checks if check.status != "passed"] == unasked
    assert ValidationReport.from_text(path.read_bytes(), "report") == report


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_validate_missing_file_fails_by_its_name(name: str, copy_export: Copy, failed_checks: Failed) -> None:
    exported = copy_export()
    (Path(exported.uri) / name).unlink()
    failed = failed_checks(sealed(exported))
    assert list(failed) == ["files-whole"]
    assert Path(name).name in failed["files-whole"].found


def test_validate_flipped_bit_fails_by_its_tensor(copy_export: Copy, failed_checks: Failed) -> None:
    exported = copy_export()
    (data,) = Path(exported.uri).glob("variables/*.data-*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 4
    data.write_bytes(content)
    failed = failed_checks(sealed(exported))
    assert "weights/" in failed["files-whole"].found


def test_validate_changed_file_fails_by_its_digest(copy_export: Copy, failed_checks: Failed) -> None:
    exported = copy_export()
    (Path(exported.uri) / "fingerprint.pb").write_bytes(b"other")
    assert list(failed_checks(exported)) == ["digest"]


def test_validate_other_weights_fail_the_golden_examples(copy_export: Copy, failed_checks: Failed) -> None:
    """A weight put in another's place is whole for every checksum: only the answers tell."""
    exported = copy_export()
    prefix = Path(exported.uri) / "variables" / "variables"
    bundle = TensorBundle(prefix)
    values = {key: tf.constant(bundle.read_array(key)) for key in bundle.entries}
    biases = [key for key, value in values.items() if value.shape == [32]]
    values[biases[0]], values[biases[1]] = values[biases[1]], values[biases[0]]
    for path in prefix.parent.iterdir():
        path.unlink()
    keys = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=keys,
        shape_and_slices=[""] * len(keys),
        tensors=[values[k] for k in keys],
    )
    failed = failed_checks(sealed(exported))
    assert {"golden-examples", "held-out-examples"} <= set(failed)
    assert "differ" in failed["golden-examples"].found


def test_validate_other_checkpoint_fails_the_golden_examples(
    mnist_export: ExportedModel,
    mnist_checkpoint: Checkpoint,
    trained_mnist: object,
    tmp_path: Path,
    failed_checks: Failed,
) -> None:
    from redraw.checkpoint.select import select_checkpoint
    from redraw.requests import CheckpointRequest

    earlier = select_checkpoint(
        CheckpointRequest(model="mnist", source=trained_mnist, catalogue=str(tmp_path / "cat"), step=200)  # type: ignore[arg-type]
    )
    assert earlier.digest != mnist_checkpoint.digest
    failed = failed_checks(mnist_export, checkpoint=earlier)
    assert {"golden-examples", "held-out-examples"} <= set(failed)


def test_validate_model_that_cannot_be_loaded_says_why(copy_export: Copy, failed_checks: Failed) -> None:
    exported = copy_export()
    graph = Path(exported.uri) / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"StatefulPartitionedCall", b"StatefulPartitionedFall"))
    failed = failed_checks(sealed(exported))
    assert "loads" in failed
    assert "StatefulPartitionedFall" in failed["loads"].found


def test_validate_changed_contract_fails_by_its_tensor(
    mnist_export: ExportedModel, failed_checks: Failed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redraw.models.mnist import Mnist

    signatures = dict(Mnist.signatures)
    default = signatures["serving_default"]
    signatures["serving_default"] = replace(default, inputs={"image": TensorSpec("float32", (None, 784))})
    monkeypatch.setattr(Mnist, "signatures", signatures)
    monkeypatch.setattr(Mnist, "golden_examples", lambda self: {})
    found = failed_checks(mnist_export)["signatures"].found
    assert (
        "signature 'serving_default', input 'image': expected float32 [None, 784],"
        " got uint8 [None, 28, 28]" in found
    )


@pytest.mark.parametrize(
    ("metrics", "evidence"),
    [
        ({"average_loss": 3.0}, "loss 3, of the checkpoint"),
        ({"average_loss": float("nan")}, "loss nan, of the checkpoint"),
    ],
)
def test_validate_poor_metrics_fail_by_their_bound(
    metrics: dict[str, float], evidence: str, mnist_export: ExportedModel, failed_checks: Failed
) -> None:
    poor = replace(mnist_export, checkpoint=replace(mnist_export.checkpoint, metrics=metrics))
    failed = failed_checks(poor)
    assert list(failed) == ["metric-thresholds"]
    assert evidence in failed["metric-thresholds"].found
    assert "accuracy at least 0.94" in failed["metric-thresholds"].expected


def test_validate_export_without_record_is_refused(mnist_export: ExportedModel, tmp_path: Path) -> None:
    shutil.copytree(mnist_export.uri, tmp_path / "bare")
    request = ValidateRequest(
        model="mnist", saved_model=str(tmp_path / "bare"), report=str(tmp_path / "report.json")
    )
    with pytest.raises(InvalidRecord, match="expected the record that 'redraw export' writes next to"):
        validate_model(request)
    assert not (tmp_path / "report.json").exists()


def test_validate_export_of_another_model_is_refused(mnist_export: ExportedModel, tmp_path: Path) -> None:
    other = replace(mnist_export, model="other")
    with pytest.raises(InvalidRecord, match="expected an export of model 'mnist', got one of 'other'"):
        validate_model(ValidateRequest(model="mnist", saved_model=other, report=str(tmp_path / "r.json")))
