"""The catalogue listed, and checkpoints chosen from it across runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from redraw.checkpoint.catalogue.listing import find_named, list_catalogue, list_checkpoints
from redraw.checkpoint.catalogue.store import add_checkpoint, find_record, folder_name
from redraw.checkpoint.select import select_checkpoint
from redraw.errors import CheckpointNotFound, InvalidName, InvalidRecord, InvalidRequest, NewerRecord
from redraw.records import Checkpoint
from redraw.requests import CheckpointRequest, CheckpointsRequest
from redraw.storage.opening import open_storage
from redraw.uri import Uri


def put(catalogue: Path | str, step: int, digest: str, trained_at: str, **more: Any) -> Checkpoint:
    folder = Uri(catalogue).absolute() / "digits" / folder_name(step, digest * 4)
    record = Checkpoint(
        model="digits", uri=folder, prefix="weights", format="tensor_bundle", step=step,
        trained_at=trained_at, digest=digest * 4, size_bytes=1, **more,
    )  # fmt: skip
    return add_checkpoint(str(catalogue), record, {})


@pytest.fixture
def three(tmp_path: Path) -> list[Checkpoint]:
    """Three records in the catalogue that the test's folder is, of three runs."""
    return [
        put(tmp_path, 100, "0123456789abcdef", "2024-01-01T00:00:00Z", metrics={"accuracy": 0.9, "mae": 3.0}),
        put(tmp_path, 200, "123456789abcdef0", "2024-03-01T00:00:00Z", metrics={"accuracy": 0.9, "mae": 2.0},
            lower_is_better=("loss", "mae")),
        put(tmp_path, 100, "23456789abcdef01", "2024-02-01T00:00:00Z", metrics={"accuracy": float("nan")}),
    ]  # fmt: skip


def choose(catalogue: Path, **choice: Any) -> Checkpoint:
    return select_checkpoint(CheckpointRequest(model="digits", catalogue=str(catalogue), **choice))


def test_list_gives_the_newest_weights_first(three: list[Checkpoint], tmp_path: Path) -> None:
    listed = list_catalogue(CheckpointsRequest(model="digits", catalogue=str(tmp_path)))
    assert [c.trained_at for c in listed.checkpoints] == sorted((c.trained_at for c in three), reverse=True)


def test_list_between_times_takes_the_first_and_not_the_last(three: list[Checkpoint], tmp_path: Path) -> None:
    found = list_catalogue(
        CheckpointsRequest(
            model="digits", catalogue=str(tmp_path), from_time="2024-01-01", to_time="2024-03-01T01:00+01:00"
        )
    ).checkpoints
    assert {c.trained_at for c in found} == {"2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"}


def test_list_of_steps_takes_these(three: list[Checkpoint], tmp_path: Path) -> None:
    request = CheckpointsRequest(model="digits", catalogue=str(tmp_path), steps=(100, 7))
    assert [c.digest[:2] for c in list_catalogue(request).checkpoints] == ["23", "01"]


def test_list_of_an_empty_catalogue_is_empty(tmp_path: Path) -> None:
    assert list_catalogue(CheckpointsRequest(model="digits", catalogue=str(tmp_path))).checkpoints == ()


def test_list_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidName, match="file: expected a catalogue .a folder., got a file"):
        list_catalogue(CheckpointsRequest(model="digits", catalogue=f"{tmp_path}/file"))


def test_list_with_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="from_time: expected a time such as"):
        CheckpointsRequest(model="digits", catalogue="a", from_time="last week")


def test_list_of_a_hostile_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        CheckpointsRequest(model="../digits", catalogue=str(tmp_path))


def test_list_passes_over_folders_without_a_record(three: list[Checkpoint], tmp_path: Path) -> None:
    (tmp_path / "digits" / "5-0123456789ab").mkdir()
    (tmp_path / "digits" / "5-0123456789ab" / "weights.index").write_bytes(b"half")
    assert len(list(list_checkpoints(Uri(tmp_path), "digits"))) == 3


def test_list_in_a_bucket_is_the_same_in_pages(bucket: str) -> None:
    for number in range(40):
        put(bucket, number, f"{number:016x}", f"2024-01-01T00:00:{number:02d}Z")
    found = list(list_checkpoints(Uri(bucket), "digits", trained_from="2024-01-01T00:00:10Z"))
    assert sorted(c.step for c in found) == list(range(10, 40))


def test_find_record_of_a_moved_catalogue_tells_where_it_is_now(
    three: list[Checkpoint], tmp_path: Path
) -> None:
    shutil.move(tmp_path / "digits", tmp_path / "moved" / "digits")
    (found,) = [c for c in list_checkpoints(Uri(tmp_path / "moved"), "digits") if c.step == 200]
    assert found.uri == str(tmp_path / "moved" / "digits" / "200-123456789abc")
    assert find_record(found.uri) == found


def test_find_by_step_or_by_folder_gives_the_record(three: list[Checkpoint], tmp_path: Path) -> None:
    assert find_named(Uri(tmp_path), "digits", "200") == three[1]
    assert find_named(Uri(tmp_path), "digits", "100-2345").digest == three[2].digest
    assert find_named(Uri(tmp_path), "digits", f"100-{three[0].digest}") == three[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("100", "expected exactly one checkpoint 100, found 100-0123456789ab of .*, 100-23456789abcd of"),
        ("20", "expected exactly one checkpoint 20, found none"),
        ("../200", "expected a checkpoint's name STEP or STEP-DIGEST"),
    ],
)
def test_find_by_a_name_of_none_or_several_says_what_there_is(
    name: str, message: str, three: list[Checkpoint], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointNotFound, match=message):
        find_named(Uri(tmp_path), "digits", name)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"latest": True}, 1),
        ({"step": 200}, 1),
        ({"best": "accuracy"}, 1),  # of equal values the newer weights, and NaN is no value
        ({"best": "mae"}, 1),
    ],
)
def test_select_without_a_run_looks_across_runs(
    choice: dict[str, Any], expected: int, three: list[Checkpoint], tmp_path: Path
) -> None:
    assert choose(tmp_path, **choice) == three[expected]


@pytest.mark.parametrize("metric", ["error", "average_error"])
def test_select_best_of_records_of_which_only_the_last_says_that_lower_is_better(
    metric: str, tmp_path: Path
) -> None:
    """The records are read in the order of their steps; of equal values the newer weights are chosen."""
    put(tmp_path, 100, "0123456789abcdef", "2024-01-01T00:00:00Z", metrics={metric: 0.5})
    put(tmp_path, 200, "123456789abcdef0", "2024-02-01T00:00:00Z", metrics={metric: 0.1})
    best = put(tmp_path, 300, "23456789abcdef01", "2024-03-01T00:00:00Z", metrics={metric: 0.1})
    said: dict[str, Any] = {"metrics": {metric: 0.3}, "lower_is_better": ("error",)}
    put(tmp_path, 400, "3456789abcdef012", "2024-04-01T00:00:00Z", **said)
    assert choose(tmp_path, best=metric) == best


def test_select_best_across_runs_with_an_unknown_metric_lists_the_known(
    three: list[Checkpoint], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointNotFound, match="expected metric 'f1', got accuracy, mae"):
        choose(tmp_path, best="f1")


def make_newer(catalogue: Path, folder: str) -> None:
    """Let a record say that a later version of Redraw wrote it."""
    path = catalogue / "digits" / folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99, "colour": "red"}))


def test_list_newer_record_is_listed_apart(
    three: list[Checkpoint], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_newer(tmp_path, "200-123456789abc")
    listed = list_catalogue(CheckpointsRequest(model="digits", catalogue=str(tmp_path)))
    assert sorted(c.step for c in listed.checkpoints) == [100, 100]
    (unreadable,) = listed.unreadable
    assert unreadable.uri == str(tmp_path / "digits" / "200-123456789abc")
    assert "record.json: Checkpoint record: expected schema 1 or older, got 99" in unreadable.reason
    assert unreadable.reason in caplog.text


def test_choose_passes_over_a_newer_record_and_refuses_it_by_name(
    three: list[Checkpoint], tmp_path: Path
) -> None:
    make_newer(tmp_path, "200-123456789abc")
    assert choose(tmp_path, latest=True).step == 100
    with pytest.raises(NewerRecord, match="got 99: a newer version of Redraw wrote it"):
        choose(tmp_path, step=200)


@pytest.mark.parametrize("prefix", ["weights", ""])
def test_find_record_in_a_bucket_goes_by_where_it_lies_unless_its_files_are_on_some_machine(
    prefix: str, bucket: str, three: list[Checkpoint]
) -> None:
    folder = f"{bucket}/digits/100-abc"
    record = dataclasses.replace(three[0], uri=Uri("/old/catalogue/digits/100-abc"), prefix=prefix)
    open_storage(folder).create("record.json", json.dumps(record.to_json()).encode())

    if prefix:  # its files were copied with it
        assert find_record(Uri(folder)) == dataclasses.replace(record, uri=Uri(folder))
    else:
        with pytest.raises(
            InvalidRecord, match="in a bucket, got the local path /old/catalogue/digits/100-abc"
        ):
            find_record(Uri(folder))
