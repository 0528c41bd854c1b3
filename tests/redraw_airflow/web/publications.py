"""Release records as a push writes them, without the objects: what the pages read of a version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from redraw.publish.bucket.layout import encode_record, live_name, release_name
from redraw.records import (
    Check,
    Checkpoint,
    ExportedModel,
    LedgerSummary,
    LivePointer,
    MadeBy,
    PointerChange,
    Provenance,
    Release,
    Rollout,
    ServerRollout,
    Signature,
    TensorSpec,
    ValidationReport,
)
from redraw.records.results import (
    AnswerComparison,
    AnswerSlice,
    DifferenceBar,
    DifferingAnswer,
    OutputDifference,
    RequestSource,
    ValueChange,
)
from redraw.records.times import format_time
from redraw.storage.opening import Storage, in_parallel

__all__ = [
    "EXPORTED",
    "FIRST_TRAINED",
    "HOSTILE",
    "MADE_BY",
    "checkpoint_record",
    "compared",
    "hostile_release",
    "pointer_record",
    "publish",
    "release_record",
    "report_record",
    "rollout_record",
    "version_of",
]

FIRST_TRAINED = 1767225600
_DAY = 86400

# Each would leave the place where it stands, were it not escaped there.
HOSTILE = (
    "<script>alert('redraw')</script>",
    '" onload="alert(1)',
    "'/><img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "%2e%2e%2f",
    "{{ 7 * 7 }}",
    "\u202eunicode\u0000\u2028",
    "long" * 200,
)

MADE_BY = MadeBy(
    definition_digest="d" * 64,
    git_revision="a" * 40,
    git_dirty=True,
    tensorflow="2.21.0",
    keras="3.15.1",
    python="3.11.7",
    redraw="0.1.0",
    exported_at="2026-01-01T00:00:00Z",
)


def version_of(number: int) -> int:
    """The version whose weights were trained `number` days after the first."""
    moment = format_time(FIRST_TRAINED + number * _DAY)
    return int("".join(filter(str.isdecimal, moment)) + "00")


def checkpoint_record(model: str, number: int = 0) -> Checkpoint:
    return Checkpoint(
        model=model,
        uri=f"gs://checkpoints/{model}/{number + 1}-0123456789ab",
        prefix="weights",
        format="tensor_bundle",
        step=1000 + number,
        trained_at=format_time(FIRST_TRAINED + number * _DAY),
        digest=f"{number:064x}",
        size_bytes=1708064,
        metrics={"accuracy": 0.9 + number % 50 / 1000, "loss": 0.5 / (1 + number)},
        lower_is_better=("loss",),
    )


def report_record(model: str, *checks: Check) -> ValidationReport:
    whole = Check(
        name="files-whole", status="passed", looked_at="the files", expected="all", found="all of 6"
    )
    return ValidationReport(
        model=model,
        digest="e" * 64,
        checks=checks or (whole,),
        passed=True,
        validated_at="2026-01-02T00:00:00Z",
    )


def release_record(model: str, number: int = 0) -> Release:
    """A version of a model: the `number`th day's."""
    version = version_of(number)
    return Release(
        model=model,
        version=version,
        uri=f"gs://models/{model}/{version}",
        digest=f"{number:064x}",
        size_bytes=519303 + number,
        signatures={
            "serving_default": Signature(
                inputs={"image": TensorSpec("uint8", (None, 28, 28))},
                outputs={"digit": TensorSpec("int64", (None,))},
            ),
            "serving_png": Signature(
                inputs={"png": TensorSpec("string", (None,))}, outputs={"digit": TensorSpec("int64", (None,))}
            ),
        },
        checkpoint=checkpoint_record(model, number),
        weights="raw",
        report=report_record(model),
        previous=None,
        pushed_at=format_time(FIRST_TRAINED + number * _DAY + 600),
        ledger=LedgerSummary(served=8, dropped={"optimizer": 17}),
        provenance=Provenance(
            made_by=MADE_BY, report_digest="f" * 64, asked_by="ada", dag_run="retrain_and_export/manual__1"
        ),
        generations={"saved_model.pb": 1},
    )


EXPORTED = ExportedModel(
    model="mnist",
    uri="/work/mnist/run/export",
    digest="e" * 64,
    size_bytes=519303,
    signatures=release_record("mnist").signatures,
    checkpoint=checkpoint_record("mnist"),
    weights="raw",
    ledger=LedgerSummary(served=8, dropped={"optimizer": 17, "training state": 2}),
    ledger_uri="/work/mnist/run/export.ledger.json",
    made_by=MADE_BY,
)


def hostile_release(model: str, number: int) -> Release:
    """A version that says something hostile wherever a bucket or a definition may say anything."""
    plain = release_record(model, number)
    checks = [
        Check(
            name=text, status="not_run", looked_at=text, expected=text, found=text, advice=text, waived=text
        )
        for text in HOSTILE
    ]
    spec = {text: TensorSpec(text, (None, 2)) for text in HOSTILE}
    return replace(
        plain,
        signatures={text: Signature(inputs=spec, outputs=spec) for text in HOSTILE},
        checkpoint=replace(plain.checkpoint, metrics=dict.fromkeys(HOSTILE, 0.5), uri=HOSTILE[0]),
        report=report_record(model, *checks),
        provenance=replace(plain.provenance, asked_by=HOSTILE[0], dag_run=f"{HOSTILE[1]}/{HOSTILE[0]}"),
        ledger=LedgerSummary(served=1, dropped=dict.fromkeys(HOSTILE, 1)),
    )


def compared(other: int) -> AnswerComparison:
    """What a version answers next to another one, with something hostile wherever a request may say it."""
    output = OutputDifference(
        signature="serve",
        output="digit",
        dtype="int64",
        rows=3,
        changed=1,
        not_finite=1,
        largest=2.0,
        mean=0.5,
        quantiles={"p99": 1.0},
        histogram=(DifferenceBar(low=0.0, high=0.0, rows=2), DifferenceBar(low=1.0, high=3.0, rows=1)),
        points=((5.0, 7.0), (1.0, 1.0), (1e308, -1e308), (1.0,)),
        classes=(ValueChange(here=7, other=HOSTILE[0], rows=1), ValueChange(here=1, other=1, rows=2)),
        examples=(
            DifferingAnswer(
                row=HOSTILE[0], difference=2.0, inputs={HOSTILE[0]: HOSTILE}, here=7, other=HOSTILE[0]
            ),
        ),
        misfit="",
    )
    slices = (AnswerSlice(signature="serve", by=HOSTILE[0], value=HOSTILE[0], rows=3, changed={"digit": 1}),)
    return AnswerComparison(
        model="mnist",
        version=None,
        other=other,
        tolerance=0.01,
        rows=3,
        sources=(RequestSource(name="golden", rows=3),),
        outputs=(output,),
        slices=slices,
        left_out=(HOSTILE[0],),
    )


def pointer_record(model: str, live: int, *changes: PointerChange) -> LivePointer:
    """The live pointer, with a canary, a version before, and a pin."""
    return LivePointer(
        model=model,
        version=version_of(live),
        previous=version_of(live - 1),
        labels={"stable": version_of(live), "canary": version_of(live + 1)},
        pinned={str(version_of(0)): "audit of 2026"},
        history=changes,
    )


def publish(storage: Storage, releases: Iterable[Release], pointer: LivePointer | None = None) -> None:
    """Write the records where a push writes them."""
    in_parallel(
        lambda release: storage.create(release_name(release.model, release.version), encode_record(release)),
        releases,
    )
    if pointer is not None:
        storage.create(live_name(pointer.model), encode_record(pointer))


def rollout_record(
    release: Release,
    server: str = "grpc://models:8500",
    address: str = "10.0.0.7:8500",
    received: str = "version 7 loaded",
    advice: str = "Wait longer.",
) -> Rollout:
    """What one server showed that is behind."""
    shown = ServerRollout(
        server=server,
        address=address,
        state="other_version",
        expected=received,
        received=received,
        advice=advice,
        versions=(7,),
        loaded_seconds=1.25,
    )
    return Rollout(
        model=release.model,
        version=release.version,
        uri=release.uri,
        confirmed=False,
        servers=(shown,),
        began_at="2026-05-01T00:00:00Z",
        seconds=4.5,
        rolled_back_to=version_of(0),
    )
