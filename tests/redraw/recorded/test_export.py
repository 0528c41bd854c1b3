"""A recording from its files to a validated export."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from redraw.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointNotFound, InvalidDefinition
from redraw.export.export import export_model
from redraw.recorded.reading import read_recording
from redraw.requests import ExportRequest, TrainRequest, ValidateRequest
from redraw.train.train import train_model
from redraw.validate.validator import validate_model
from tests.redraw.recorded.old_graphs import Case, Recorded, expected, record

CASE = Case(source="queue", dropout="floor", norm="fused", variables="reference")
MODULE = '''"""Drafted."""
from redraw import RecordedDefinition, Signature, TensorSpec

class Drafted(RecordedDefinition):
    recording = {recording!r}
    digest = {digest!r}
    inputs = {inputs!r}
    outputs = {outputs!r}
    signatures = {{
        "serving_default": Signature(
            inputs={{"x": TensorSpec("float32", (None, 5))}},
            outputs={{"probabilities": TensorSpec("float32", (None, 3))}},
        )
    }}
'''

Announce = Callable[[str, Recorded], None]


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Announce:
    """Makes a recording a model of a package of the test's own."""
    package = f"recorded_{tmp_path.name}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Models."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", package)

    def write(model: str, recorded: Recorded) -> None:
        text = MODULE.format(
            recording=str(recorded.meta),
            digest=read_recording(str(recorded.meta)).digest,
            inputs=recorded.inputs,
            outputs=recorded.outputs,
        )
        (folder / f"{model}.py").write_text(text)
        sys.modules.pop(f"{package}.{model}", None)

    return write


def test_export_of_a_recording_serves_and_passes_validation(announce: Announce, tmp_path: Path) -> None:
    recorded = record(CASE, tmp_path / "run")
    announce("churn", recorded)
    out = tmp_path / "out"

    exported = export_model(
        ExportRequest.from_json({"model": "churn", "checkpoint": str(recorded.prefix), "out": str(out)})
    )
    report = validate_model(
        ValidateRequest.from_json(
            {"model": "churn", "saved_model": str(out), "report": str(tmp_path / "report.json")}
        )
    )

    request = {"x": np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)}
    served = tf.saved_model.load(str(out)).signatures["serving_default"](x=tf.constant(request["x"]))
    np.testing.assert_allclose(served["probabilities"], expected(CASE, recorded, request), atol=3e-6)
    checks = {check.name: check for check in report.checks}
    assert report.passed
    assert list(checks)[-2:] == ["recorded-answers", "variables-unchanged"]
    assert "2 batch statistic, 1 dropout" in checks["recorded-answers"].found
    assert checks["held-out-examples"].status == "not_run"
    assert "a recorded graph has no data" in checks["held-out-examples"].waived
    assert exported.signatures["serving_default"].inputs["x"].shape == (None, 5)
    assert {"graphs.svg", "graphs.json"} <= set(report.attachments)


def test_export_with_averages_that_nobody_updated_is_refused(announce: Announce, tmp_path: Path) -> None:
    recorded = record(CASE, tmp_path / "run", updates=False)
    announce("churn", recorded)

    with pytest.raises(
        CheckpointMismatch, match=r"initial values in bn/moving_mean, bn/moving_variance: training did not"
    ):
        export_model(
            ExportRequest.from_json(
                {"model": "churn", "checkpoint": str(recorded.prefix), "out": str(tmp_path / "out")}
            )
        )


def test_export_with_the_checkpoint_of_another_graph_names_what_differs(
    announce: Announce, tmp_path: Path
) -> None:
    recorded = record(CASE, tmp_path / "run")
    other = record(Case(norm="none", place="loop"), tmp_path / "other")
    announce("churn", recorded)

    with pytest.raises(CheckpointMismatch, match=r"served variable 'bn/"):
        export_model(
            ExportRequest.from_json(
                {"model": "churn", "checkpoint": str(other.prefix), "out": str(tmp_path / "o")}
            )
        )


def test_train_of_a_recording_says_that_it_cannot(announce: Announce, tmp_path: Path) -> None:
    announce("churn", record(CASE, tmp_path / "run"))

    with pytest.raises(InvalidDefinition, match="which can only be exported"):
        train_model(TrainRequest.from_json({"model": "churn", "out": str(tmp_path / "r")}))


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.meta", None, CheckpointNotFound, "found no such file"),
        ("a.meta", b"", CheckpointCorrupt, "bytes without operations"),
        ("a.meta", b"\x0a\xff\xff\xff\xff\x0f", CheckpointCorrupt, "got DecodeError"),
        ("graph.pbtxt", b"node { name: ", CheckpointCorrupt, "got ParseError"),
        ("graph.pbtxt", b"\xff\xfe", CheckpointCorrupt, "got UnicodeDecodeError"),
    ],
)
def test_read_of_what_is_no_recording_says_so_in_one_line(
    name: str, content: bytes | None, error: type[Exception], message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(error, match=message) as caught:
        read_recording(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_read_of_truncated_recordings_says_so(tmp_path: Path) -> None:
    whole = record(Case(), tmp_path / "run").meta.read_bytes()
    for size in range(1, len(whole), len(whole) // 7):
        (tmp_path / "cut.meta").write_bytes(whole[:size])
        with pytest.raises(CheckpointCorrupt, match="Copy the file again|Name the .meta"):
            read_recording(str(tmp_path / "cut.meta"))


def test_read_of_another_file_than_the_digest_says_is_refused(tmp_path: Path) -> None:
    recorded = record(Case(), tmp_path / "run")

    with pytest.raises(CheckpointCorrupt, match="expected the recorded graph with digest 00"):
        read_recording(str(recorded.meta), "00" * 32)
