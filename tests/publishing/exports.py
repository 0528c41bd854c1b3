"""Exports to push, with true records, of whatever files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import google_crc32c

from redraw.publish.push.push import push_model
from redraw.records import (
    Check,
    Checkpoint,
    ExaminedObjects,
    ExportedModel,
    LedgerSummary,
    Signature,
    TensorSpec,
    ValidationReport,
)
from redraw.records.files import encode_files
from redraw.requests import PushRequest
from redraw.storage.files import scan_tree
from redraw.storage.opening import open_storage, upload_tree, write_uri

__all__ = [
    "TRAINED_AT",
    "Export",
    "RemoteExport",
    "describe_export",
    "export_record",
    "forge_content",
    "passing_report",
    "send_export",
    "small_files",
    "write_attachments",
    "write_export",
    "write_report",
]

TRAINED_AT = "2024-05-06T07:08:09Z"


@dataclass(frozen=True)
class Export:
    """A validated export on disk.

    Attributes:
        folder: The SavedModel's.
        digest: As its record says.
    """

    folder: Path
    digest: str

    def push_arguments(self, bucket: str) -> list[str]:
        """The command that publishes it."""
        return _push_arguments(os.fspath(self.folder), bucket)

    def publish(self, bucket: str) -> None:
        """Publish it in this process, and make it live."""
        record, report = (Path(f"{self.folder}{end}").read_bytes() for end in (".json", ".report.json"))
        push_model(
            PushRequest(
                model="digits",
                saved_model=ExportedModel.from_text(record, "record"),
                report=ValidationReport.from_text(report, "report"),
                bucket=bucket,
                make_live=True,
            )
        )


@dataclass(frozen=True)
class RemoteExport:
    """An export that lies in a bucket, and was validated there.

    Attributes:
        uri: The SavedModel's.
        digest: As its record says.
    """

    uri: str
    digest: str

    def push_arguments(self, bucket: str) -> list[str]:
        """The command that publishes it."""
        return _push_arguments(self.uri, bucket)


def _push_arguments(uri: str, bucket: str) -> list[str]:
    return [
        "push",
        "--model",
        "digits",
        "--bucket",
        bucket,
        "--saved-model",
        uri,
        "--report",
        f"{uri}.report.json",
    ]


def small_files(graph: bytes = b"the graph") -> dict[str, bytes]:
    """One file of every kind that a SavedModel has, and two shards."""
    return {
        "variables/variables.data-00000-of-00002": b"0" * 3000,
        "variables/variables.data-00001-of-00002": b"1" * 2000,
        "variables/variables.index": b"index",
        "assets/vocabulary.txt": b"a\nb\n",
        "saved_model.pb": graph,
    }


def write_export(folder: Path, files: Mapping[str, bytes], trained_at: str = TRAINED_AT) -> Export:
    """Write the files into a new folder, and their records next to it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return describe_export(folder, trained_at)


def describe_export(folder: Path, trained_at: str = TRAINED_AT) -> Export:
    """Write the records of an export next to its folder: exported, and validated."""
    scan = scan_tree(folder)
    digest, size = scan.digest, scan.size_bytes
    record = export_record(folder, digest, size, trained_at)
    report = passing_report(digest, write_attachments(folder))
    Path(f"{folder}.files.json").write_bytes(encode_files(scan.files))
    Path(f"{folder}.json").write_text(json.dumps(record.to_json()))
    Path(f"{folder}.report.json").write_text(json.dumps(report.to_json()))
    return Export(folder, digest)


def send_export(export: Export, uri: str) -> RemoteExport:
    """Put an export into a bucket as `export` does, and the report that `validate` writes of it there."""
    parent, _, name = uri.rpartition("/")
    storage, local = open_storage(parent), os.fspath(export.folder)
    sent = upload_tree(storage, name, scan_tree(export.folder).files)
    for suffix in ("files.json", "json", "ledger.json", "graphs.svg"):
        text = Path(f"{local}.{suffix}").read_text()
        storage.create(f"{name}.{suffix}", text.replace(local, uri).encode())
    report = replace(
        passing_report(export.digest, {"graphs.svg": f"{uri}.graphs.svg"}),
        objects=ExaminedObjects(
            uri=uri, generations={item.name.removeprefix(f"{name}/"): item.generation for item in sent}
        ),
    )
    write_report(report, uri)
    return RemoteExport(uri, export.digest)


def write_report(report: ValidationReport, uri: str) -> None:
    """Put a report next to an export in a bucket, in place of the one that is there."""
    write_uri(f"{uri}.report.json", json.dumps(report.to_json()).encode())


def write_attachments(folder: Path) -> dict[str, str]:
    """Write what people look at next to an export's folder: the ledger, and what the report names."""
    Path(f"{folder}.ledger.json").write_text('{"record": "Ledger"}')
    Path(f"{folder}.graphs.svg").write_text("<svg/>")
    return {"graphs.svg": f"{folder}.graphs.svg"}


def passing_report(digest: str, attachments: Mapping[str, str] | None = None) -> ValidationReport:
    """A validation that such an export passed, with these attachments."""
    check = Check(name="whole", status="passed", looked_at="the files", expected="all", found="all")
    return ValidationReport(
        model="digits",
        digest=digest,
        checks=(check,),
        passed=True,
        validated_at="2024-05-06T08:00:00Z",
        attachments=attachments or {},
    )


def export_record(folder: Path, digest: str, size: int, trained_at: str) -> ExportedModel:
    """What the export of a folder of that digest and size says of itself."""
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
    specs = (TensorSpec("uint8", (None, 28, 28)), TensorSpec("int64", (None,)))
    return ExportedModel(
        model="digits",
        uri=str(folder),
        digest=digest,
        size_bytes=size,
        signatures={"serving_default": Signature(inputs={"image": specs[0]}, outputs={"digit": specs[1]})},
        checkpoint=checkpoint,
        weights="raw",
        ledger=LedgerSummary(served=1, dropped={"optimizer": 2}),
        ledger_uri=f"{folder}.ledger.json",
    )


def forge_content(content: bytes) -> bytes:
    """Other bytes of the same length and crc32c: the first is altered, and the last four make up for it."""

    def moved(position: int, bit: int) -> int:
        altered = bytearray(len(content))
        altered[position] ^= 1 << bit
        return google_crc32c.value(bytes(altered)) ^ google_crc32c.value(bytes(len(content)))

    basis: list[tuple[int, int]] = []  # what some of the last 32 bits do to the checksum, and which
    for number in range(32):
        effect, bits = moved(len(content) - 4 + number // 8, number % 8), 1 << number
        for other, mask in basis:
            if effect ^ other < effect:
                effect, bits = effect ^ other, bits ^ mask
        basis = sorted([*basis, (effect, bits)], reverse=True)
    wanted, patch = moved(0, 0), 0
    for effect, bits in basis:
        if wanted ^ effect < wanted:
            wanted, patch = wanted ^ effect, patch ^ bits
    forged = bytearray(content)
    forged[0] ^= 1
    forged[-4:] = bytes(a ^ b for a, b in zip(forged[-4:], patch.to_bytes(4, "little"), strict=True))
    assert google_crc32c.value(bytes(forged)) == google_crc32c.value(content)
    return bytes(forged)
