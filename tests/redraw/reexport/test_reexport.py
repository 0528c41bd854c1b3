from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import redraw.reexport.batch
from redraw.__main__ import main
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.errors import (
    BucketNotFound,
    CheckpointsFailed,
    DiskFull,
    InvalidRequest,
    StorageUnavailable,
    UnknownModel,
)
from redraw.export.export import Exporter
from redraw.export.source import open_origin
from redraw.publish.browse import Browser
from redraw.publish.bucket.layout import list_versions, read_release
from redraw.publish.live.set_live import change_live
from redraw.publish.prune.prune import prune_versions
from redraw.records import Checkpoint, ExportedModel, Release
from redraw.records.reexport import ReexportedCheckpoint, ReexportReport
from redraw.reexport.reexport import reexport_checkpoints
from redraw.requests import ExportRequest, LiveRequest, PruneRequest, ReexportRequest
from redraw.storage.opening import open_storage
from redraw.storage.scratch import demand_room
from tests.conftest import wait_until
from tests.paths import TESTS

MODEL = "line_module"
AddLines = Callable[..., list[Checkpoint]]


@pytest.fixture(autouse=True)
def sample_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("REDRAW_MODELS", "sample_models")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where exports are kept until they are published."""
    monkeypatch.setenv("REDRAW_SCRATCH", str(tmp_path / "room"))
    return tmp_path / "room"


@pytest.fixture
def reexport(bucket: str, tmp_path: Path) -> Callable[..., ReexportReport]:
    def call(*checkpoints: Checkpoint | str, **more: object) -> ReexportReport:
        request = {"model": MODEL, "bucket": bucket, "out": str(tmp_path / "scratch"), **more}
        return reexport_checkpoints(ReexportRequest(checkpoints=checkpoints, **request))

    return call


@pytest.fixture
def exported_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of the checkpoints that are exported from now on."""
    steps: list[int] = []

    def opened(request: ExportRequest) -> tuple[CheckpointSource, Checkpoint]:
        source, record = open_origin(request)
        steps.append(record.step)
        return source, record

    monkeypatch.setattr("redraw.export.export.open_origin", opened)
    return steps


def outcomes(report: ReexportReport) -> list[tuple[int | None, str]]:
    return [(row.step, row.outcome) for row in report.checkpoints]


def serving_processes() -> list[psutil.Process]:
    """The children of this process that serve exports to be checked."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("redraw.serving" in word for word in child.cmdline()):
                found.append(child)
    return found


def break_data(checkpoint: Checkpoint) -> None:
    (data,) = Path(checkpoint.uri).glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[0] ^= 255
    data.write_bytes(content)


def test_reexport_several_publishes_each_as_a_separate_run_would_and_none_live(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    bucket: str,
    tmp_path: Path,
    scratch: Path,
) -> None:
    from redraw.export.export import export_model

    before = serving_processes()
    first, second = add_lines(
        str(tmp_path / "catalogue"), {10: "2025-03-01T12:00:00Z", 20: "2025-03-02T12:00:00Z"}
    )

    report = reexport(first, second.uri, by="ada", dag_run="reexport/1", try_number=2)

    assert outcomes(report) == [(10, "exported"), (20, "exported")]
    assert [row.version for row in report.checkpoints] == [2025030112000000, 2025030212000000]
    alone = export_model(ExportRequest(model=MODEL, checkpoint=second, out=str(tmp_path / "alone")))
    assert report.checkpoints[1].digest == alone.digest
    storage = open_storage(bucket)
    release = read_release(storage, MODEL, 2025030212000000)
    assert release is not None
    assert (release.digest, release.checkpoint) == (alone.digest, second)
    assert (release.provenance.asked_by, release.provenance.dag_run) == ("ada", "reexport/1")
    assert release.report.passed
    assert change_live(LiveRequest(model=MODEL, bucket=bucket)).version is None
    assert all(0 < row.seconds <= report.seconds < 600 for row in report.checkpoints)
    # The exports are gone, and so are the processes that checked them; the reports stay.
    assert not list(scratch.glob("reexport-*"))
    wait_until(
        lambda: not set(serving_processes()) - set(before), "the end of the processes that served", seconds=20
    )
    assert f"20-{second.digest[:12]}.json" in {path.name for path in (tmp_path / "scratch").iterdir()}


def test_reexport_several_keeps_for_each_what_there_is_to_look_at(
    reexport: Callable[..., ReexportReport], add_lines: AddLines, bucket: str, tmp_path: Path
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2)}
    report = reexport(*add_lines(str(tmp_path / "catalogue"), days))
    browser = Browser(open_storage(bucket))
    pages = []
    for row in report.checkpoints:
        assert row.version is not None
        release = browser.release(MODEL, row.version)
        # The graph and its latency were examined once for both.
        assert set(release.attachments) == {
            "golden.json",
            "graphs.json",
            "graphs.svg",
            "latency.json",
            "ledger.json",
            "report.html",
            "bom.cdx.json",
            "card.md",
            "evaluation.intoto.json",
            "provenance.intoto.json",
        }
        contents = {name: browser.attachment(release, name) or b"" for name in release.attachments}
        assert b"<svg" in contents["graphs.svg"]
        assert json.loads(contents["latency.json"])["signatures"]["serving_default"][0]["rows"] == 1
        assert row.digest.encode() in contents["report.html"]
        pages.append(contents)
    assert pages[0]["graphs.svg"] == pages[1]["graphs.svg"]
    assert pages[0]["report.html"] != pages[1]["report.html"]
    assert pages[0]["golden.json"] != pages[1]["golden.json"]


def test_reexport_with_broken_ones_among_them_fails_these_alone(
    reexport: Callable[..., ReexportReport], add_lines: AddLines, bucket: str, tmp_path: Path
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2, 3)}
    checkpoints = add_lines(str(tmp_path / "catalogue"), days)
    break_data(checkpoints[1])

    with pytest.raises(CheckpointsFailed, match=r"^2 of 4 checkpoints failed: ") as caught:
        reexport(*checkpoints, str(tmp_path / "nowhere"))

    report = caught.value.report
    assert isinstance(report, ReexportReport)
    assert outcomes(report) == [(1, "exported"), (2, "failed"), (3, "exported"), (None, "failed")]
    assert "checksum" in report.checkpoints[1].reason
    assert "nowhere" in report.checkpoints[3].reason
    assert all("\n" not in row.reason for row in report.checkpoints)
    assert list_versions(open_storage(bucket), MODEL) == [2025030312000000, 2025030112000000]


def test_reexport_again_makes_nothing_that_is_there(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    bucket: str,
    tmp_path: Path,
    exported_steps: list[int],
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2, 3)}
    first, second, third = add_lines(str(tmp_path / "catalogue"), days)
    before = reexport(first, second)
    objects = open_storage(bucket).list()
    exported_steps.clear()

    again = reexport(first, second, third)

    assert outcomes(again) == [(1, "already there"), (2, "already there"), (3, "exported")]
    assert [row.version for row in again.checkpoints[:2]] == [row.version for row in before.checkpoints]
    # The first tells what all of them have in common; after that only digests are compared.
    assert exported_steps == [1, 3]
    assert [item for item in open_storage(bucket).list() if "2025030312000000" not in item.name] == objects


def test_reexport_after_the_definition_changed_publishes_the_next_revision(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sample_models.line_module import LineDefinition

    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2)}
    checkpoints = add_lines(str(tmp_path / "catalogue"), days)
    reexport(*checkpoints)
    serve = LineDefinition.serve
    monkeypatch.setattr(
        LineDefinition,
        "serve",
        lambda *given: {name: 1.0 * value for name, value in serve(*given).items()},
    )

    again = reexport(*checkpoints)

    assert [(row.outcome, row.version) for row in again.checkpoints] == [
        ("exported", 2025030112000001),
        ("exported", 2025030212000001),
    ]

    once_more = reexport(*checkpoints)

    assert [(row.outcome, row.version) for row in once_more.checkpoints] == [
        ("already there", 2025030112000001),
        ("already there", 2025030212000001),
    ]


def test_reexport_after_only_the_source_changed_exports_all_again_and_publishes_none(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exported_steps: list[int],
) -> None:
    package = tmp_path / "edited_models"
    package.mkdir()
    (package / "__init__.py").touch()
    source = package / "line_module.py"
    source.write_text((TESTS / "sample_models" / "line_module.py").read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REDRAW_MODELS", "edited_models")
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2)}
    checkpoints = add_lines(str(tmp_path / "catalogue"), days)
    before = reexport(*checkpoints)
    exported_steps.clear()

    source.write_text(f"{source.read_text()}# That this draws the same graph, only an export can tell.\n")
    again = reexport(*checkpoints)

    assert outcomes(again) == [(1, "already there"), (2, "already there")]
    assert [row.version for row in again.checkpoints] == [row.version for row in before.checkpoints]
    assert exported_steps == [1, 2]


def test_reexport_of_an_export_that_is_there_leaves_no_room_taken(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    bucket: str,
    tmp_path: Path,
    scratch: Path,
) -> None:
    (checkpoint,) = add_lines(str(tmp_path / "catalogue"), {1: "2025-03-01T12:00:00Z"})
    reexport(checkpoint)
    request = ReexportRequest(
        model=MODEL, bucket=bucket, out=str(tmp_path / "scratch"), checkpoints=(checkpoint,)
    )

    # A new batch knows no recipe: it exports, and finds the version then.
    with redraw.reexport.batch.Batch(request) as batch:
        row = batch.prepare(checkpoint)

        assert isinstance(row, ReexportedCheckpoint)
        assert row.outcome == "already there"
        assert not list(scratch.glob("reexport-*/*"))


def test_reexport_of_pruned_versions_publishes_each_once_more(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    bucket: str,
    tmp_path: Path,
    exported_steps: list[int],
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2, 3)}
    first, second, newest = add_lines(str(tmp_path / "catalogue"), days)
    reexport(first, second, newest)
    pruned = prune_versions(PruneRequest(model=MODEL, bucket=bucket, keep=1, apply=True)).removed
    assert [gone.version for gone in pruned] == [2025030212000000, 2025030112000000]

    after = reexport(newest, first, second)
    exported_steps.clear()
    again = reexport(newest, first, second)

    assert outcomes(after) == [(3, "already there"), (1, "exported"), (2, "exported")]
    versions = [2025030312000000, 2025030112000001, 2025030212000001]
    assert [row.version for row in after.checkpoints] == versions
    assert outcomes(again) == [(3, "already there"), (1, "already there"), (2, "already there")]
    assert [row.version for row in again.checkpoints] == versions
    assert exported_steps == [3]
    storage = open_storage(bucket)
    assert list_versions(storage, MODEL) == sorted(
        [*versions, *(gone.version for gone in pruned)], reverse=True
    )
    assert not storage.list(f"{MODEL}/2025030112000000/")
    # A damaged record of the pruned one hides the one that took its place as little as another's does.
    exported_steps.clear()
    record = f"{MODEL}/releases/2025030112000000.json"
    storage.replace(record, b"{", storage.list(record)[0].generation)
    assert [row.version for row in reexport(newest, first).checkpoints] == versions[:2]
    assert exported_steps == [3]


class Before(tuple[Checkpoint, ...]):
    """Checkpoints, with something that happens before one of a number is given."""

    number: int
    happens: Callable[[], object]

    def __iter__(self) -> Iterator[Checkpoint]:
        for number, checkpoint in enumerate(super().__iter__()):
            if number == self.number:
                self.happens()
            yield checkpoint

    def asked_in(self, out: str, bucket: str) -> ReexportRequest:
        """A request for them, made before anything happens: to make one goes through its checkpoints."""
        request = ReexportRequest(model=MODEL, checkpoints=self[:], bucket=bucket, out=out)
        object.__setattr__(request, "checkpoints", self)
        return request


@pytest.mark.parametrize("what", ["exports", "reports"])
def test_reexport_onto_a_disk_that_fills_up_ends_the_batch_and_keeps_what_was_published(
    what: str,
    add_lines: AddLines,
    bucket: str,
    tmp_path: Path,
    tiny_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if what == "exports":
        if os.geteuid() != 0:
            pytest.skip("a model's sandbox opens no folder that another process mounted")
        monkeypatch.setenv("REDRAW_SCRATCH", str(tiny_disk / "room"))
    out = (tiny_disk if what == "reports" else tmp_path) / "scratch"
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2, 3)}
    checkpoints = Before(add_lines(str(tmp_path / "catalogue"), days))

    def fill() -> None:
        storage = open_storage(bucket)
        wait_until(lambda: bool(list_versions(storage, MODEL)), "the first version")
        free = shutil.disk_usage(tiny_disk).free
        (tiny_disk / "filler").write_bytes(bytes(free))

    checkpoints.number, checkpoints.happens = 1, fill
    request = checkpoints.asked_in(str(out), bucket)

    with pytest.raises(DiskFull, match=str(tiny_disk)):
        reexport_checkpoints(request)

    assert list_versions(open_storage(bucket), MODEL) == [2025030112000000]
    assert not list((tiny_disk if what == "exports" else tmp_path).glob("room/reexport-*"))


def test_reexport_of_a_checkpoint_that_does_not_fit_goes_on_with_the_others(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2, 3)}
    checkpoints = add_lines(str(tmp_path / "catalogue"), days)
    export = Exporter.export

    def export_what_fits(exporter: Exporter, request: ExportRequest) -> ExportedModel:
        if isinstance(request.checkpoint, Checkpoint) and request.checkpoint.step == 2:
            demand_room(tmp_path, 1 << 60)
        return export(exporter, request)

    monkeypatch.setattr(Exporter, "export", export_what_fits)
    with pytest.raises(CheckpointsFailed, match=f"1 of 3 .*expected {1 << 60} free bytes") as raised:
        reexport(*checkpoints)
    assert isinstance(raised.value.report, ReexportReport)
    assert outcomes(raised.value.report) == [(1, "exported"), (2, "failed"), (3, "exported")]


def test_reexport_while_the_storage_does_not_answer_ends_the_batch(
    add_lines: AddLines, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2, 3)}
    checkpoints = Before(add_lines(str(tmp_path / "catalogue"), days))
    asked: list[str] = []

    def silent(_storage: object, model: str, trained_at: str) -> None:
        asked.append(f"{model}/{trained_at}")
        raise StorageUnavailable(f"{bucket}: expected an answer, got none in 60 s. Try again later.")

    checkpoints.number = 1
    checkpoints.happens = lambda: monkeypatch.setattr("redraw.reexport.published.claims_of_second", silent)
    request = checkpoints.asked_in(str(tmp_path / "scratch"), bucket)

    with pytest.raises(StorageUnavailable, match="expected an answer"):
        reexport_checkpoints(request)

    assert asked == [f"{MODEL}/{days[2]}"]


def test_reexport_version_that_lost_an_object_puts_it_back(
    reexport: Callable[..., ReexportReport], add_lines: AddLines, bucket: str, tmp_path: Path
) -> None:
    days = {step: f"2025-03-0{step}T12:00:00Z" for step in (1, 2)}
    checkpoints = add_lines(str(tmp_path / "catalogue"), days)
    reexport(*checkpoints)
    storage = open_storage(bucket)
    lost = f"{MODEL}/2025030212000000/saved_model.pb"
    found = storage.stat(lost)
    assert found is not None
    storage.delete(lost, found.generation)

    again = reexport(*checkpoints)

    assert outcomes(again) == [(1, "already there"), (2, "exported")]
    assert storage.stat(lost) is not None


def test_reexport_the_same_checkpoint_twice_publishes_it_once(
    reexport: Callable[..., ReexportReport],
    add_lines: AddLines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (checkpoint,) = add_lines(str(tmp_path / "catalogue"), {7: "2025-03-01T12:00:00Z"})
    asked, push = threading.Event(), redraw.reexport.batch.push_model
    record = redraw.reexport.batch.find_record

    def note_then_read(uri: str) -> Checkpoint | None:
        asked.set()
        return record(uri)

    def push_late(*arguments: Any) -> Release:
        assert asked.wait(60)  # for the second one's turn
        return push(*arguments)

    monkeypatch.setattr(redraw.reexport.batch, "find_record", note_then_read)
    monkeypatch.setattr(redraw.reexport.batch, "push_model", push_late)

    report = reexport(checkpoint, checkpoint.uri)

    assert outcomes(report) == [(7, "exported"), (7, "already there")]


def test_reexport_file_of_no_catalogue_is_described_from_itself(
    reexport: Callable[..., ReexportReport], add_lines: AddLines, tmp_path: Path
) -> None:
    (checkpoint,) = add_lines(str(tmp_path / "catalogue"), {7: "2025-03-01T12:00:00Z"})
    (Path(checkpoint.uri) / "record.json").unlink()

    report = reexport(f"{checkpoint.uri}/weights", f"{checkpoint.uri}/weights")

    assert [row.outcome for row in report.checkpoints] == ["exported", "already there"]


def test_reexport_many_holds_no_more_memory_than_few(
    add_lines: AddLines, bucket: str, tmp_path: Path
) -> None:
    days = {step: f"2025-03-{1 + step:02d}T12:00:00Z" for step in range(30)}
    checkpoints = add_lines(str(tmp_path / "catalogue"), days)
    held = list[int]()

    class Noting(tuple[Checkpoint, ...]):
        """Notes the memory before each checkpoint."""

        def __iter__(self) -> Iterator[Checkpoint]:
            for checkpoint in super().__iter__():
                held.append(psutil.Process().memory_info().rss)
                yield checkpoint

    request = ReexportRequest(
        model=MODEL, checkpoints=Noting(checkpoints), bucket=bucket, out=str(tmp_path / "scratch")
    )

    report = reexport_checkpoints(request)

    assert {row.outcome for row in report.checkpoints} == {"exported"}
    assert len(held) == 30
    # Ten checkpoints to come to rest, twenty in which the memory of one more must not stay.
    assert held[-1] - held[len(held) // 3] < 24e6, held


def test_reexport_into_a_bucket_that_is_not_there_fails_as_a_whole(
    reexport: Callable[..., ReexportReport], trained_line: Checkpoint, gcs_server: str
) -> None:
    with pytest.raises(BucketNotFound):
        reexport(trained_line, bucket="gs://redraw-nowhere")


def test_reexport_of_a_model_without_a_definition_fails_as_a_whole(
    reexport: Callable[..., ReexportReport], trained_line: Checkpoint
) -> None:
    with pytest.raises(UnknownModel):
        reexport(trained_line, model="nobody_s_model")


@pytest.mark.parametrize("waive", ["graph-size", "no-such-check=because"])
def test_reexport_waiver_that_is_none_fails_before_any_export(
    reexport: Callable[..., ReexportReport], trained_line: Checkpoint, waive: str
) -> None:
    with pytest.raises(InvalidRequest, match="waive"):
        reexport(trained_line, waive=(waive,))


def test_command_with_a_failed_checkpoint_prints_the_record_and_one_line(
    add_lines: AddLines, bucket: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad = add_lines(str(tmp_path / "catalogue"), {1: "2025-03-01T12:00:00Z", 2: "2025-03-02T12:00:00Z"})
    break_data(bad)
    request = tmp_path / "request.json"
    fields = {"model": MODEL, "bucket": bucket, "out": str(tmp_path / "out")}
    request.write_text(json.dumps({**fields, "checkpoints": [good.to_json(), bad.uri]}))

    assert main(["reexport", "--request", str(request)]) == 1

    printed = capfd.readouterr()
    report = ReexportReport.from_json(json.loads(printed.out))
    assert outcomes(report) == [(1, "exported"), (2, "failed")]
    assert "error [CheckpointsFailed]: 1 of 2 checkpoints failed: " in printed.err
