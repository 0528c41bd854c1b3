"""What the bucket holds for the tests that look at pages: models of 1, 30 and 1,000 versions."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from redraw.publish.bucket.layout import (
    Claim,
    attachment_name,
    claim_name,
    encode_record,
    numbered_live_name,
    release_name,
)
from redraw.records import Check, LivePointer, PointerChange, Pruned, Release
from redraw.records.files import ListedFile
from redraw.records.times import format_time
from redraw.storage.opening import Storage
from tests.paths import ROOT
from tests.redraw_airflow.web.publications import (
    FIRST_TRAINED,
    publish,
    release_record,
    report_record,
    version_of,
)

__all__ = ["MODELS", "PRUNED_DAY", "UNREADABLE_DAY", "publish_for_looks"]

# Model to its number of versions.
MODELS = {"one_version": 1, "thirty_versions": 30, "digits_graph": 1000}
# Of the model with thirty.
PRUNED_DAY, UNREADABLE_DAY = 8, 20
_GOLDEN = ROOT / "tests" / "golden" / "schema-2" / "bucket" / "digits" / "reports" / "2026010203040500"
_WAIVED = ("latency-budget", "training-serving-skew")
_NAMES = (
    "files-whole",
    "runtime-loads",
    "weights-complete",
    "weights-source",
    "finite-weights",
    "fingerprint",
    "no-training-operations",
    "operations-allowed",
    "signatures-match",
    "golden-examples",
    "batch-sizes",
    "odd-inputs",
    "evaluation-answers",
    "recorded-answers",
    "repeatable",
    "warm-up",
    "metric-thresholds",
    *_WAIVED,
)


def publish_for_looks(storage: Storage) -> None:
    """Write the records of the models, and what is kept next to the newest version of each."""
    for model, number in MODELS.items():
        live = max(0, number - 3)
        changes = [
            PointerChange(
                version=version_of(day),
                changed_at=format_time(FIRST_TRAINED + day * 86400 + 900),
                by="ada" if day % 3 else "nightly",
                kind="rollback" if day == live - 2 else "live",
                reason="the newer one misreads sevens" if day == live - 2 else "run",
            )
            for day in range(max(0, live - 13), live + 1)
        ]
        pointer = LivePointer(
            model=model,
            version=version_of(live),
            previous=version_of(live - 1) if live else None,
            labels={"stable": version_of(live), "canary": version_of(number - 1)},
            pinned={str(version_of(2)): "audit of 2026"} if number > 1 else {},
            rejected={str(version_of(live + 1)): "misreads sevens"} if number > 1 else {},
            history=tuple(changes),
            number=1,
        )
        releases = [_dressed(storage, model, day, number) for day in range(number)]
        if number == MODELS["thirty_versions"]:
            pruned = Pruned(
                pruned_at=format_time(FIRST_TRAINED + 90 * 86400), by="nightly", reason="older than 10"
            )
            releases[PRUNED_DAY] = replace(releases[PRUNED_DAY], pruned=pruned)
            storage.create(release_name(model, releases.pop(UNREADABLE_DAY).version), b"{}")
        # Numbered as a push does it, so that a server sees it that has looked for a pointer before.
        storage.create(numbered_live_name(model, pointer.number), encode_record(pointer))
        publish(storage, releases, pointer)


def _dressed(storage: Storage, model: str, day: int, number: int) -> Release:
    plain = release_record(model, day)
    metrics = {"accuracy": 1 - 0.3 / (1 + day % 40) - day % 7 / 400, "loss": 0.5 / (1 + day % 40)}
    release = replace(
        plain,
        size_bytes=1_519_303 + 40_000 * (day // 200),
        checkpoint=replace(plain.checkpoint, metrics=metrics, lower_is_better=("loss",)),
        report=report_record(model, *map(_check, _NAMES)),
    )
    release = replace(
        release, report=replace(release.report, waivers=dict.fromkeys(_WAIVED, "measured elsewhere"))
    )
    if day < number - 2:
        return release
    claim = Claim(
        model=release.model,
        version=release.version,
        digest=release.digest,
        checkpoint_digest=release.checkpoint.digest,
        manifest=tuple(
            ListedFile(name=name, size=519_303, crc32c=1, sha256="a" * 64)
            for name in (
                "saved_model.pb",
                "variables/variables.data-00000-of-00001",
                "variables/variables.index",
            )
        ),
    )
    storage.create(claim_name(model, release.version), encode_record(claim))
    return replace(release, attachments=_attachments(storage, model, release.version))


def _check(name: str) -> Check:
    waived = name in _WAIVED
    return Check(
        name=name,
        status="not_run" if waived else "passed",
        looked_at="the answers of the served model to 64 requests",
        expected="the same as those of the network, within 1e-5",
        found="not run: nothing to compare with" if waived else "the largest difference is 2e-7, in digit",
        advice="Add examples, or waive it." if waived else "",
        waived="measured elsewhere" if waived else "",
        seconds=0.25,
    )


def _attachments(storage: Storage, model: str, version: int) -> dict[str, ListedFile]:
    contents = {path.name.partition("-")[2]: path.read_bytes() for path in _GOLDEN.iterdir()}
    contents["graphs.svg"] = (ROOT / "docs" / "pictures" / "mnist.graphs.svg").read_bytes()
    contents["report.html"] = b"<!doctype html><title>report</title><p>the report"
    found = {}
    for name, content in contents.items():
        sha256 = hashlib.sha256(content).hexdigest()
        stored = attachment_name(model, version, name, sha256)
        storage.create(stored, content)
        found[name] = ListedFile(name=stored, size=len(content), crc32c=1, sha256=sha256)
    return found
