"""Records as the stages leave them, for what is decided by them."""

from __future__ import annotations

from redraw.records import (
    Check,
    Checkpoint,
    ExportedModel,
    LedgerSummary,
    Provenance,
    Release,
    ValidationReport,
)

__all__ = ["CHECKPOINT", "EXPORT", "RELEASE", "REPORT", "VERSION"]

VERSION = 2026010100000000
CHECKPOINT = Checkpoint(
    model="mnist",
    uri="gs://checkpoints/mnist/1000-abc",
    prefix="ckpt-1000",
    format="tensor_bundle",
    step=1000,
    trained_at="2026-01-31T23:59:59Z",
    digest="abc0" * 16,
    size_bytes=10,
    metrics={"accuracy": 0.97123},
)
EXPORT = ExportedModel(
    model="mnist",
    uri="/work/export",
    digest="0123456789abcdef" * 4,
    size_bytes=2_500_000,
    signatures={},
    checkpoint=CHECKPOINT,
    weights="average",
    ledger=LedgerSummary(served=1, dropped={}),
    ledger_uri="/work/ledger.json",
)
REPORT = ValidationReport(
    model="mnist",
    digest=EXPORT.digest,
    checks=(
        Check(
            name="live-metrics",
            status="passed",
            looked_at="answers",
            expected="no worse",
            found="accuracy 0.97, better by 0.01 (0.96 live)",
        ),
        Check(
            name="warm-up",
            status="not_run",
            looked_at="requests",
            expected="answers",
            found="no GPU",
            waived="tried by hand",
        ),
    ),
    passed=True,
    validated_at="2026-02-01T00:00:00Z",
    against=2025120100000000,
)
RELEASE = Release(
    model="mnist",
    version=VERSION,
    uri=f"gs://models/team/mnist/{VERSION}",
    digest=EXPORT.digest,
    size_bytes=EXPORT.size_bytes,
    signatures={},
    checkpoint=CHECKPOINT,
    weights="average",
    report=REPORT,
    previous=None,
    pushed_at="2026-02-01T00:00:00Z",
    ledger=EXPORT.ledger,
    provenance=Provenance(made_by=None, report_digest="0" * 64, asked_by="ada"),
    generations={},
)
