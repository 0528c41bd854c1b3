"""One record of every kind with every key filled, and the files of this version that hold them.

Later versions read what `write_files` wrote. Where the form of a record changes, write the new form
next to the old ones, which stay as they are:

    python tests/golden/records.py tests/golden/FORM
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from redraw.export.weights.ledger import Dropped, Ledger, NonFinite, Served
from redraw.names import CHECKPOINT_RECORD
from redraw.publish.bucket.layout import (
    Claim,
    attachment_name,
    claim_name,
    encode_record,
    live_name,
    numbered_live_name,
    release_name,
    serving_config_name,
)
from redraw.publish.live.serving_config import encode_serving_config
from redraw.publish.prune.index import IndexedRelease, ReleaseIndex
from redraw.publish.push.release import digest_report
from redraw.records import (
    Check,
    Checkpoint,
    ExaminedObjects,
    ExportedModel,
    LedgerSummary,
    LivePointer,
    MadeBy,
    PointerChange,
    Provenance,
    Pruned,
    Record,
    Release,
    ReleaseList,
    Rollout,
    ServerRollout,
    Signature,
    TensorSpec,
    TrainingRun,
    UnreadableRecord,
    ValidationReport,
)
from redraw.records.events import ModelEvent
from redraw.records.failure import StageFailure
from redraw.records.files import FileList, ListedFile, encode_files
from redraw.records.progress import LossPoint, MeasuredStep, TrainingProgress
from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw.records.results import (
    AdoptedCheckpoint,
    AdoptionReport,
    Answer,
    AnswerComparison,
    AnsweredTensor,
    AnswerSlice,
    BrokenCheckpoint,
    CheckpointDescription,
    CheckpointList,
    ComparedMetrics,
    DifferenceBar,
    DifferingAnswer,
    DraftedDefinition,
    EventList,
    ExampleRequest,
    ExampleRequests,
    Finding,
    HealedModel,
    LoggedVersion,
    MeasuredTwice,
    MirroredModel,
    MirrorReport,
    ModelDescription,
    ModelList,
    OutputDifference,
    Passport,
    Prediction,
    PredictionRow,
    PrunedVersion,
    PruneReport,
    RequestSource,
    SavedModelDescription,
    ScannedFiles,
    TensorDescription,
    UnlikeVariable,
    ValueChange,
    VariableDifference,
    VerifyReport,
    WeightDifferences,
)
from redraw.serving import Latency
from redraw.uri import Uri
from redraw.validate.checks.behaviour.latency import encode_latency
from redraw.validate.graph_diff.comparison import Comparison, Part
from redraw.validate.graph_diff.serving_graph import Tensor

__all__ = ["CHECKPOINT", "COMPARISON", "LEDGER", "MODEL", "POINTER", "RECORDS", "RELEASE", "write_files"]

MODEL = "digits"
VERSION = 2026010203040500
BUCKET = "gs://models"
LEDGER = Ledger(
    served=(
        Served(
            variable="dense/kernel",
            key="model/w/.ATTRIBUTES/VALUE",
            dtype="float32",
            shape=(2, 3),
            saved_as="w",
        ),
    ),
    dropped=(Dropped(key="optimizer/step", rule="optimizer"),),
    found_by="path",
    non_finite=(NonFinite(variable="dense/kernel", count=1),),
    without_average=("dense/bias",),
)
COMPARISON = Comparison(
    training=(
        Part(box="dense", kind="network", scope="dense", fate="shared", operations={"MatMul": 1}),
        Part(box=":loss", kind="loss", scope="", fate="removed", operations={"Mean": 2}),
    ),
    serving=(Part(box="dense", kind="network", scope="dense", fate="shared", operations={"MatMul": 1}),),
    training_inputs=("features: float32 [8]",),
    placeholders=(Tensor(name="image", spec="uint8 [None, 28, 28]", signatures=("serving_default",)),),
    outputs=(Tensor(name="digit", spec="int64 [None]", signatures=("serving_default",)),),
    training_flow=((":in", "dense"), ("dense", ":loss")),
    serving_flow=((":in/image", "dense"), ("dense", ":out/digit")),
    layers=("dense",),
)
_ONE_ROW = Latency(
    p50_ms=0.5, p95_ms=0.75, p99_ms=1.0, requests_per_second=2000.0, rows_per_second=2000.0, requests=64
)
_MANY_ROWS = Latency(
    p50_ms=1.5, p95_ms=1.75, p99_ms=2.0, requests_per_second=500.0, rows_per_second=16000.0, requests=32
)
RUN = TrainingRun(
    model=MODEL,
    uri="/work/digits/run",
    run="run",
    step=200,
    metrics={"accuracy": 0.5, "loss": 1.25},
    lower_is_better=("loss",),
    warm_start="gs://checkpoints/digits/100-aaaaaaaaaaaa",
)
EVALUATION = {"step": 200, "time": "2026-01-02T03:04:05Z", "metrics": {"accuracy": 0.5}}
CHECKPOINT = Checkpoint(
    model=MODEL,
    uri="gs://checkpoints/digits/200-cccccccccccc",
    prefix="weights",
    format="tensor_bundle",
    step=200,
    trained_at="2026-01-02T03:04:05Z",
    digest="c" * 64,
    size_bytes=1708064,
    metrics={"accuracy": 0.5, "loss": 1.25},
    run="run",
    averages=True,
    lower_is_better=("loss",),
)
SIGNATURE = Signature(
    inputs={"image": TensorSpec("uint8", (None, 28, 28))}, outputs={"digit": TensorSpec("int64", (None,))}
)
MADE_BY = MadeBy(
    definition_digest="d" * 64,
    git_revision="a" * 40,
    git_dirty=True,
    tensorflow="2.21.0",
    keras="3.15.1",
    python="3.11.7",
    redraw="0.1.0",
    exported_at="2026-01-02T03:05:00Z",
)
SUMS = LedgerSummary(served=1, dropped={"optimizer": 1})
EXPORTED = ExportedModel(
    model=MODEL,
    uri="/work/digits/export",
    digest="e" * 64,
    size_bytes=519303,
    signatures={"serving_default": SIGNATURE},
    checkpoint=CHECKPOINT,
    weights="average",
    ledger=SUMS,
    ledger_uri="/work/digits/export.ledger.json",
    made_by=MADE_BY,
)
CHECK = Check(
    name="latency-budget",
    status="not_run",
    looked_at="requests of 1 row",
    expected="p50 at most 1 ms",
    found="no runtime",
    advice="Run it where TensorFlow is.",
    waived="measured elsewhere",
    seconds=0.5,
)
REPORT = ValidationReport(
    model=MODEL,
    digest=EXPORTED.digest,
    checks=(CHECK,),
    passed=True,
    validated_at="2026-01-02T03:06:00Z",
    waivers={"latency-budget": "measured elsewhere"},
    allow_breaking="nobody asks it yet",
    against=2026010100000000,
    attachments={"report.html": "/work/digits/report.html"},
    objects=ExaminedObjects(uri="gs://exports/digits", generations={"saved_model.pb": 7}),
)
FILES = (ListedFile(name="saved_model.pb", size=5, crc32c=4294967295, sha256="f" * 64),)
CLAIM = Claim(
    model=MODEL,
    version=VERSION,
    digest=EXPORTED.digest,
    checkpoint_digest=CHECKPOINT.digest,
    manifest=FILES,
    step=200,
)
POINTER = LivePointer(
    model=MODEL,
    version=VERSION,
    previous=2026010100000000,
    labels={"stable": VERSION, "canary": 2026010100000000},
    pinned={"2026010100000000": "audit"},
    pruning=(2025010100000000,),
    history=(
        PointerChange(
            version=VERSION,
            changed_at="2026-01-02T03:08:00Z",
            by="ada",
            reason="pushed",
            kind="live",
            label="stable",
            allow_older="a drill",
            allow_rejected="another",
        ),
    ),
    number=12,
    rejected={"2025010100000000": "ada: misreads sevens"},
)


def _attachments() -> Mapping[str, bytes]:
    return {
        "graphs.json": json.dumps(COMPARISON.to_json(), indent=1).encode(),
        "latency.json": encode_latency({"serving_default": (_ONE_ROW, _MANY_ROWS)}).encode(),
        "ledger.json": LEDGER.to_bytes(),
    }


def _listed(name: str, content: bytes) -> ListedFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return ListedFile(
        name=attachment_name(MODEL, VERSION, name, sha256), size=len(content), crc32c=1, sha256=sha256
    )


RELEASE = Release(
    model=MODEL,
    version=VERSION,
    uri=f"{BUCKET}/{MODEL}/{VERSION}",
    digest=EXPORTED.digest,
    size_bytes=5,
    signatures=EXPORTED.signatures,
    checkpoint=CHECKPOINT,
    weights="average",
    report=REPORT,
    previous=2026010100000000,
    pushed_at="2026-01-02T03:07:00Z",
    ledger=SUMS,
    provenance=Provenance(
        made_by=MADE_BY,
        report_digest=digest_report(REPORT),
        asked_by="ada",
        dag_run="retrain_and_export/manual__1",
        try_number=1,
        approved_by="grace",
    ),
    generations={"saved_model.pb": 7},
    pruned=Pruned(pruned_at="2027-01-01T00:00:00Z", by="ada", reason="not one of the 5 newest"),
    attachments={name: _listed(name, content) for name, content in _attachments().items()},
)
_TENSOR = TensorDescription(key="w", dtype="float32", shape=(2, 3), size_bytes=24, role="weight")
_UNREADABLE = UnreadableRecord(uri=f"{BUCKET}/{MODEL}/releases/1.json", reason="a newer version wrote it")
# Of every kind one.
EVENT = ModelEvent(
    kind="label",
    source=Uri(BUCKET) / MODEL,
    version=VERSION,
    at="2026-01-04T03:04:05Z",
    by="ada",
    reason="a first look",
    label="canary",
    digest="d" * 64,
    metrics={"accuracy": 0.97, "auc": None},
    undelivered=("webhook deploy (deploy.example): expected status 2xx, got 500",),
).identified()
RECORDS: Mapping[str, Record] = {
    type(record).__name__: record
    for record in (
        RUN,
        CHECKPOINT,
        EXPORTED,
        REPORT,
        FileList(files=FILES),
        CLAIM,
        RELEASE,
        POINTER,
        ReleaseList(model=MODEL, live=VERSION, releases=(RELEASE,), unreadable=(_UNREADABLE,)),
        TrainingProgress(
            model=MODEL,
            run="run",
            uri="/work/digits/run",
            step=120,
            steps=200,
            steps_per_second=12.5,
            losses=(LossPoint(step=120, loss=0.5),),
            measured=(MeasuredStep(step=100, metrics={"loss": 0.75}),),
        ),
        StageFailure(
            model=MODEL,
            stage="train",
            error="StorageUnavailable",
            message="gs://checkpoints: expected an answer, got none. Try again.",
            retryable=True,
        ),
        ReexportReport(
            model=MODEL,
            bucket=BUCKET,
            checkpoints=(
                ReexportedCheckpoint(
                    uri=CHECKPOINT.uri,
                    outcome="failed",
                    seconds=1.5,
                    step=200,
                    trained_at=CHECKPOINT.trained_at,
                    version=VERSION,
                    digest="e" * 64,
                    reason="a part is missing",
                ),
            ),
            seconds=2.5,
        ),
        CheckpointDescription(
            uri="/work/ckpt-200",
            format="tensor_bundle",
            step=200,
            shards=1,
            size_bytes=24,
            tensors=(_TENSOR,),
        ),
        SavedModelDescription(
            uri="/work/digits/export",
            tags=("serve",),
            signatures={"serving_default": SIGNATURE},
            variables=(_TENSOR,),
            operations={"MatMul": 1},
            size_bytes=519303,
        ),
        ExampleRequests(
            model=MODEL,
            version=VERSION,
            uri=f"gs://models/{MODEL}/{VERSION}",
            signatures={
                "serving_default": ExampleRequest(
                    inputs={"x": TensorSpec("float32", (None, 1))},
                    outputs={"y": TensorSpec("float32", (None, 1))},
                    example={"x": [[0.5]]},
                )
            },
            can_be_asked=True,
            sandbox="namespaces, Landlock, seccomp",
        ),
        AdoptionReport(
            model=MODEL,
            catalogue="gs://checkpoints",
            adopted=(
                AdoptedCheckpoint(
                    uri="/old/ckpt", step=200, trained_at=CHECKPOINT.trained_at, digest=CHECKPOINT.digest
                ),
            ),
            known=1,
            broken=(BrokenCheckpoint(uri="/old/half", reason="a shard is missing"),),
            seconds=0.5,
        ),
        CheckpointList(model=MODEL, checkpoints=(CHECKPOINT,), unreadable=(_UNREADABLE,)),
        ModelList(
            models=(
                ModelDescription(
                    name=MODEL,
                    summary="Digits.",
                    module="models.digits",
                    signatures={"serve": SIGNATURE},
                    problem="fails to import",
                ),
            ),
            problems=("package models cannot be read",),
        ),
        AnswerComparison(
            model=MODEL,
            version=VERSION,
            other=2026010100000000,
            tolerance=0.01,
            rows=3,
            refused=1,
            refused_by_other=2,
            sources=(RequestSource(name="golden", rows=3),),
            outputs=(
                OutputDifference(
                    signature="serve",
                    output="digit",
                    dtype="int64",
                    rows=3,
                    changed=1,
                    not_finite=1,
                    largest=2.0,
                    mean=0.5,
                    quantiles={"p50": 0.0, "p99.9": 2.0},
                    histogram=(
                        DifferenceBar(low=0.0, high=0.0, rows=2),
                        DifferenceBar(low=1.0, high=3.0, rows=1),
                    ),
                    points=((5.0, 7.0),),
                    classes=(ValueChange(here=7, other=5, rows=1),),
                    examples=(
                        DifferingAnswer(
                            row="golden row 2", difference=2.0, inputs={"image": [1, 2]}, here=7, other=5
                        ),
                    ),
                    misfit="shape [1] instead of [2] (golden row 0)",
                ),
            ),
            slices=(
                AnswerSlice(signature="serve", by="source", value="golden", rows=3, changed={"digit": 1}),
            ),
            metrics=(
                ComparedMetrics(
                    signature="serve",
                    labelled=3,
                    measured=2,
                    metrics=(
                        MeasuredTwice(
                            name="accuracy",
                            here=0.5,
                            here_interval=(0.25, 0.75),
                            other=None,
                            other_interval=(),
                            difference_interval=(-0.25, 0.25),
                            lower_is_better=False,
                        ),
                    ),
                ),
            ),
            left_out=("output 'rank' of signature 'serve' is of version 2026010100000000 alone",),
            seconds=1.5,
        ),
        WeightDifferences(
            model=MODEL,
            version=VERSION,
            other=2026010100000000,
            variables=(
                VariableDifference(
                    key="w",
                    dtype="float32",
                    shape=(2, 3),
                    equal=False,
                    relative_change=0.25,
                    largest_change=0.5,
                    not_finite=1,
                ),
            ),
            unlike=(
                UnlikeVariable(
                    key="b", why="shape", dtype="int8", shape=(1,), other_dtype="int8", other_shape=(2,)
                ),
            ),
            only_in_version=("new",),
            only_in_other=("old",),
        ),
        ReleaseIndex(
            model=MODEL,
            releases=(
                IndexedRelease(
                    generation=17,
                    version=VERSION,
                    size_bytes=5,
                    pushed_at="2025-01-02T00:00:00Z",
                    previous=2025010100000000,
                ),
            ),
            pruned={"2025010100000000": 16},
            live_before=2024010100000000,
        ),
        PruneReport(
            model=MODEL,
            kept={str(VERSION): "live"},
            removed=(
                PrunedVersion(version=2025010100000000, size_bytes=5, reason="not one of the 5 newest"),
            ),
            bytes=5,
            applied=True,
        ),
        MirrorReport(
            out="/mirror", models=(MirroredModel(model=MODEL, versions=(VERSION,), fetched=(VERSION,)),)
        ),
        EventList(model=MODEL, events=(EVENT,)),
        LoggedVersion(
            model=MODEL,
            version=VERSION,
            uri=RELEASE.uri,
            digest="d" * 64,
            run="0af7651916cd43dd8448eb211c80319c",
            registered=3,
            live=2,
        ),
        Passport(model=MODEL, version=VERSION, uri=RELEASE.uri, out="passport", files={"card.md": "c" * 64}),
        Rollout(
            model=MODEL,
            version=VERSION,
            uri=RELEASE.uri,
            confirmed=False,
            servers=(
                ServerRollout(
                    server="grpc://models:8500",
                    address="10.0.0.7:8500",
                    state="wrong_answer",
                    expected="the same answers",
                    received="others",
                    advice="Roll back.",
                    versions=(VERSION,),
                    loaded_seconds=0.5,
                    seconds=0.75,
                    compared=("serving_default",),
                    largest_error=0.25,
                ),
            ),
            began_at="2026-01-02T03:09:00Z",
            seconds=1.5,
            tolerance=1e-05,
            rolled_back_to=2026010100000000,
            note="a drill",
            by="ada",
        ),
        VerifyReport(model=MODEL, version=VERSION, uri=RELEASE.uri, checks=(CHECK,), passed=True),
        Prediction(
            model=MODEL,
            version=VERSION,
            uri=RELEASE.uri,
            signature="serving_default",
            output="digit",
            rows=(PredictionRow(label=7, answer=7, correct=True),),
        ),
        DraftedDefinition(
            model=MODEL,
            recording=Uri("gs://old/digits/model.ckpt-9.meta"),
            digest="ab" * 32,
            path="models/digits.py",
            module="# the module\n",
            replaced={"dropout": 2},
        ),
        HealedModel(
            saved_model=Uri("gs://old/digits/3"),
            uri=Uri("gs://models/healed"),
            healed=True,
            summary="It was healed.",
            found=(Finding(check="inference-ops", text="RandomUniform draws at random", heals=True),),
            replaced={"dropout": 2},
            signatures={
                "serving_default": Signature(
                    inputs={"x": TensorSpec("float32", (None, 1))},
                    outputs={"y": TensorSpec("float32", (None, 1))},
                )
            },
            rows=200,
            largest_difference=1e-07,
            size_bytes=4096,
        ),
        ScannedFiles(
            uri=Uri("gs://old/digits/3"),
            kind="SavedModel",
            made_by="TensorFlow 2.21.0",
            holds=("signature 'serving_default': x to y",),
            refused=(Finding(check="host-code", text="PyFunc calls Python"),),
        ),
        Answer(
            model=MODEL,
            version=VERSION,
            uri=RELEASE.uri,
            signature="serving_default",
            inputs={"image": [[0, 1]]},
            outputs={"digit": AnsweredTensor(dtype="int64", shape=(1,), values=[7])},
            seconds=0.25,
            load_seconds=0.5,
            fetched=True,
        ),
    )
}


def write_files(folder: Path) -> None:
    """Write a bucket, a catalogue, a run, an export and what the commands print."""
    for name, content in _files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _files() -> Mapping[str, bytes]:
    attachments = {listed.name: _attachments()[name] for name, listed in RELEASE.attachments.items()}
    bucket = {
        claim_name(MODEL, VERSION): encode_record(CLAIM),
        release_name(MODEL, VERSION): encode_record(RELEASE),
        live_name(MODEL): encode_record(POINTER),
        numbered_live_name(MODEL, POINTER.number): encode_record(POINTER),
        serving_config_name(MODEL): encode_serving_config(f"{BUCKET}/{MODEL}", MODEL, POINTER.labels),
        **attachments,
    }
    return {
        **{f"bucket/{name}": content for name, content in bucket.items()},
        f"catalogue/{MODEL}/200-cccccccccccc/{CHECKPOINT_RECORD}": CHECKPOINT.to_bytes(),
        "run/run.json": RUN.to_bytes(),
        "run/metrics.jsonl": (json.dumps(EVALUATION) + "\n").encode(),
        "export.json": EXPORTED.to_bytes(),
        "export.files.json": encode_files(FILES),
        "export.ledger.json": LEDGER.to_bytes(),
        "report.json": REPORT.to_bytes(),
        **{f"printed/{kind}.json": record.to_bytes() for kind, record in RECORDS.items()},
    }


if __name__ == "__main__":
    write_files(Path(sys.argv[1]))
