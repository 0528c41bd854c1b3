"""Small exports with true records: a push reads files and records, never the graph in them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.files import digest_tree
from tasks.records import (
    Check,
    Checkpoint,
    ExportedModel,
    LedgerSummary,
    Signature,
    TensorSpec,
    ValidationReport,
)
from tasks.requests import PushRequest

TRAINED_AT = "2024-05-06T07:08:09Z"

SHARDS = 6

_FILES = {
    **{f"variables/variables.data-{n:05d}-of-{SHARDS:05d}": bytes([n]) * 3000 for n in range(SHARDS)},
    "variables/variables.index": b"index",
    "assets/vocabulary.txt": b"a\nb\n",
    "assets.extra/tf_serving_warmup_requests": b"requests",
    "fingerprint.pb": b"fingerprint",
    "saved_model.pb": b"the graph",
}


@dataclass(frozen=True)
class Export:
    """An export on disk, validated."""

    folder: Path
    record: ExportedModel
    report: ValidationReport

    def request(self, bucket: str, *, make_live: bool = False) -> PushRequest:
        """The request to push it, by its paths."""
        return PushRequest(
            model="digits",
            saved_model=str(self.folder),
            report=f"{self.folder}.report.json",
            bucket=bucket,
            make_live=make_live,
        )


MakeExport = Callable[..., Export]


@pytest.fixture
def make_export(tmp_path: Path) -> MakeExport:
    """Make a validated export: `make_export(graph=b'…', trained_at='…', files={…})`."""

    def make(
        graph: bytes = b"the graph", trained_at: str = TRAINED_AT, files: dict[str, bytes] | None = None
    ) -> Export:
        folder = tmp_path / f"export-{len(list(tmp_path.iterdir()))}"
        for name, content in {**_FILES, **(files or {}), "saved_model.pb": graph}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        digest, size = digest_tree(folder)
        record, report = _record(folder, digest, size, trained_at), _report(digest)
        Path(f"{folder}.json").write_text(json.dumps(record.to_json()))
        Path(f"{folder}.report.json").write_text(json.dumps(report.to_json()))
        return Export(folder, record, report)

    return make


def _record(folder: Path, digest: str, size: int, trained_at: str) -> ExportedModel:
    checkpoint = Checkpoint(
        model="digits",
        uri="/catalogue/digits/100-0123456789ab",
        prefix="weights",
        format="tensor_bundle",
        step=100,
        trained_at=trained_at,
        digest="0123456789abcdef" * 4,
        size_bytes=12345,
    )
    image = TensorSpec("uint8", (None, 28, 28))
    return ExportedModel(
        model="digits",
        uri=str(folder),
        digest=digest,
        size_bytes=size,
        signatures={
            "serving_default": Signature(
                inputs={"image": image}, outputs={"digit": TensorSpec("int64", (None,))}
            )
        },
        checkpoint=checkpoint,
        weights="raw",
        ledger=LedgerSummary(served=1, dropped={"optimizer": 2}),
        ledger_uri=f"{folder}.ledger.json",
    )


def _report(digest: str) -> ValidationReport:
    check = Check(name="whole", status="passed", looked_at="the files", expected="all", found="all")
    return ValidationReport(
        model="digits", digest=digest, checks=(check,), passed=True, validated_at="2024-05-06T08:00:00Z"
    )


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; mounting it needs root."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
