from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.select import last_whole_checkpoint
from redraw.errors import DiskFull, ObjectConflict
from redraw.records import TrainingRun
from redraw.runs.bucket import open_run_folder
from redraw.runs.folder import RunFolder
from redraw.storage.opening import open_storage
from redraw.uri import Uri

RUN = TrainingRun(model="line_module", uri="gs://work/run", run="run", step=0)


class Opener:
    """Opens the run as different machines do, each with scratch of its own."""

    def __init__(self, uri: str, stack: ExitStack) -> None:
        self.uri, self._stack = uri, stack

    def __call__(self) -> RunFolder:
        return self._stack.enter_context(open_run_folder(Uri(self.uri), "train"))


@pytest.fixture
def machine(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    monkeypatch.setenv("REDRAW_SCRATCH", str(tmp_path / "scratch"))
    with ExitStack() as stack:
        yield Opener(f"{bucket}/run", stack)


def save(folder: RunFolder, step: int, value: bytes = b"value", keep: int = 20) -> None:
    folder.checkpoints.mkdir(exist_ok=True)
    with BundleWriter(folder.checkpoints / f"ckpt-{step}") as writer:
        writer.add_array("key", np.frombuffer(value, np.uint8))
    folder.checkpoint_saved(step, keep)


def test_open_run_folder_of_another_machine_reads_all_that_was_sent(machine: Opener) -> None:
    first = machine()
    assert first.is_empty()
    first.write_run(RUN)
    first.claim()
    first.add_evaluation(10, {"loss": 0.5})
    save(first, 10)

    second = machine()

    assert (second.uri, second.is_empty(), second.read_run()) == (machine.uri, False, RUN)
    assert second.evaluations()[10].metrics == {"loss": 0.5}
    assert last_whole_checkpoint(second) == second.checkpoint(10)
    assert second.path != first.path


def test_checkpoint_saved_beyond_what_is_kept_removes_the_oldest(machine: Opener) -> None:
    folder = machine()

    for step in (5, 10, 100):
        save(folder, step, keep=2)

    assert folder.steps() == [10, 100]
    names = [item.name for item in open_storage(machine.uri).list()]
    assert not [name for name in names if "ckpt-5." in name]


def test_checkpoint_saved_over_what_a_killed_one_left_replaces_it(machine: Opener) -> None:
    folder = machine()
    left = open_storage(machine.uri)
    left.create("checkpoints/ckpt-10.data-00000-of-00001", b"half")
    assert folder.steps() == []

    save(folder, 10)

    assert last_whole_checkpoint(machine()) is not None


def test_last_whole_checkpoint_passes_over_one_that_is_damaged(machine: Opener) -> None:
    folder = machine()
    save(folder, 10)
    save(folder, 20)
    storage = open_storage(machine.uri)
    index = storage.stat("checkpoints/ckpt-20.index")
    assert index is not None
    storage.replace(index.name, b"damaged", index.generation)

    found = last_whole_checkpoint(machine())

    assert found is not None
    assert found.name == "ckpt-10"


def test_claim_by_another_machine_ends_the_one_that_trained_before(machine: Opener) -> None:
    first = machine()
    first.write_run(RUN)
    first.claim()
    first.add_evaluation(10, {"loss": 0.5})
    second = machine()

    second.claim()

    with pytest.raises(
        ObjectConflict, match=r"run/metrics\.jsonl: .*one of another process, which trains in the same folder"
    ):
        first.add_evaluation(20, {"loss": 0.4})
    second.add_evaluation(20, {"loss": 0.3})
    assert machine().evaluations()[20].metrics == {"loss": 0.3}


def test_checkpoint_without_room_for_it_raises_before_it_is_fetched(
    machine: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(machine(), 10, value=bytes(5000))
    other = machine()
    monkeypatch.setenv("REDRAW_SCRATCH_BYTES", "6000")

    with pytest.raises(DiskFull, match="REDRAW_SCRATCH_BYTES=6000"):
        other.checkpoint(10)
    assert not other.checkpoints.exists()
