from __future__ import annotations

import pytest

from redraw.links import release_url
from tasks.records import Checkpoint, LedgerSummary, Provenance, Release, ValidationReport

CHECKPOINT = Checkpoint(
    model="mnist",
    uri="gs://checkpoints/mnist/1",
    prefix="ckpt",
    format="tensor_bundle",
    step=1,
    trained_at="2026-01-01T00:00:00Z",
    digest="0",
    size_bytes=1,
)
RELEASE = Release(
    model="mnist",
    version=2026010100000000,
    uri="gs://models/team a/mnist/2026010100000000",
    digest="0",
    size_bytes=1,
    signatures={},
    checkpoint=CHECKPOINT,
    weights="raw",
    report=ValidationReport(
        model="mnist", digest="0", checks=(), passed=True, validated_at="2026-01-01T00:00:00Z"
    ),
    previous=None,
    pushed_at="2026-01-01T00:00:00Z",
    ledger=LedgerSummary(served=1, dropped={}),
    provenance=Provenance(made_by=None, report_digest="0", asked_by="ada"),
    generations={"saved_model.pb": 1},
)


@pytest.mark.parametrize(
    ("emulator", "expected"),
    [
        (
            None,
            "https://console.cloud.google.com/storage/browser/_details/models/"
            "team%20a/mnist/releases/2026010100000000.json",
        ),
        (
            "http://127.0.0.1:4443/",
            "http://127.0.0.1:4443/storage/v1/b/models/o/"
            "team%20a%2Fmnist%2Freleases%2F2026010100000000.json?alt=media",
        ),
    ],
)
def test_release_url_leads_to_the_record_where_it_is_kept(
    emulator: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    if emulator:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)

    assert release_url(RELEASE) == expected
