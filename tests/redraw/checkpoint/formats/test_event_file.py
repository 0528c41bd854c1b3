"""Event files written by TensorBoard's own writer, read for the time of each step."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from redraw.checkpoint.formats.tf_record import times_in_event_files


def write(folder: Path, *events: Event) -> Path:
    with mock.patch("time.time", return_value=1.0):
        writer = EventFileWriter(str(folder))
    for event in events:
        writer.add_event(event)
    writer.close()
    (path,) = folder.iterdir()
    return path


def event(step: int, time: float, status: int = 0) -> Event:
    value = Summary(value=[Summary.Value(tag="loss", simple_value=0.5)])
    log = SessionLog(status=status)
    found = Event(step=step, wall_time=time, summary=None if status else value)
    if status:
        found.session_log.CopyFrom(log)
    return found


def test_times_are_those_of_the_first_event_of_a_step(tmp_path: Path) -> None:
    path = write(tmp_path, event(100, 50.0), event(100, 60.0), event(200, 70.5))
    assert {step: time for step, time in times_in_event_files([path]).items() if step} == {
        100: 50.0,
        200: 70.5,
    }


def test_times_of_a_saved_checkpoint_go_before_and_its_last_counts(tmp_path: Path) -> None:
    saved = SessionLog.CHECKPOINT
    path = write(tmp_path, event(100, 50.0), event(100, 55.0, saved), event(100, 90.0, saved))
    assert times_in_event_files([path])[100] == 90.0


def test_times_of_a_training_that_carried_on_are_not_those_of_its_start(tmp_path: Path) -> None:
    first = write(tmp_path / "first", event(100, 50.0))
    second = write(tmp_path / "second", event(100, 1000.0, SessionLog.START), event(300, 1100.0))
    assert times_in_event_files([first, second])[100] == 50.0
    assert 100 not in times_in_event_files([second])


@pytest.mark.parametrize("cut", [3, 20, 10_000])
def test_times_of_a_file_that_was_cut_off_are_those_before(cut: int, tmp_path: Path) -> None:
    path = write(tmp_path, event(100, 50.0), event(200, 60.0))
    content = path.read_bytes()
    path.write_bytes(content[: max(0, len(content) - cut)])
    times = times_in_event_files([path])
    assert times.get(100) == (None if cut > len(content) else 50.0)
    assert 200 not in times
