"""Model servers, and published versions with recorded answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraw.publish.push.push import push_model
from redraw.records import ExportedModel, Release, Signature, TensorSpec, ValidationReport
from redraw.requests import PushRequest
from tests.model_server import ModelServers, running_servers
from tests.publishing.exports import small_files, write_export

OUTPUTS: dict[str, Any] = {"digit": [3, 4], "scores": [[0.25, 0.75], [0.5, 1e-3]], "word": ["three", "four"]}
DTYPES = {"digit": "int64", "scores": "float32", "word": "string"}
SIGNATURE = Signature(
    inputs={"image": TensorSpec("uint8", (None, 2)), "text": TensorSpec("string", (None,))},
    outputs={
        "digit": TensorSpec("int64", (None,)),
        "scores": TensorSpec("float32", (None, 2)),
        "word": TensorSpec("string", (None,)),
    },
)
GOLDEN: dict[str, Any] = {
    "schema": 1,
    "tolerance": 1e-5,
    "signatures": {
        "serving_default": {"inputs": {"image": [[0, 255], [7, 1]], "text": ["a", "ä"]}, "outputs": OUTPUTS}
    },
}

Publish = Callable[..., Release]


@pytest.fixture(scope="session")
def servers() -> Iterator[ModelServers]:
    """The process of the model servers."""
    with running_servers() as running:
        yield running


@pytest.fixture(scope="session")
def publish_into(tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Publishes a live version into a bucket, with this golden.json."""

    def publish(
        bucket: str, month: int = 1, golden: dict[str, Any] | None = GOLDEN, **request: Any
    ) -> Release:
        folder = tmp_path_factory.mktemp("version") / "model"
        write_export(folder, small_files(f"graph {month}".encode()), f"2024-{month:02}-01T00:00:00Z")
        record = ExportedModel.from_text(Path(f"{folder}.json").read_bytes(), "record")
        report = ValidationReport.from_text(Path(f"{folder}.report.json").read_bytes(), "report")
        if golden is not None:
            Path(f"{folder}.golden.json").write_text(json.dumps(golden))
            report = replace(report, attachments={"golden.json": f"{folder}.golden.json"})
        record = replace(record, signatures={"serving_default": SIGNATURE})
        return push_model(
            PushRequest(
                model="digits",
                saved_model=record,
                report=report,
                bucket=bucket,
                **{"make_live": True, **request},
            )
        )

    return publish


@pytest.fixture(scope="module")
def release(new_bucket: Callable[[], str], publish_into: Publish) -> Release:
    """The live version of a bucket that a module's tests share."""
    return publish_into(new_bucket())
