from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from redraw.errors import DiskFull, InvalidSetting, StorageForbidden
from redraw.storage.scratch import demand_room, scratch_folder

HOLDS_A_FOLDER = """
import sys, time
from redraw.storage.scratch import scratch_folder
with scratch_folder("held", int(sys.argv[1])) as folder:
    (folder / "half").write_bytes(bytes(100))
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "scratch"
    monkeypatch.setenv("REDRAW_SCRATCH", str(root))
    monkeypatch.delenv("REDRAW_SCRATCH_BYTES", raising=False)
    return root


def hold(needed: int = 0) -> tuple[subprocess.Popen[str], Path]:
    """A process that works in a scratch folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_A_FOLDER, str(needed)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".lock")


def test_scratch_folder_when_left_removes_all_of_it(root: Path) -> None:
    with scratch_folder("stage", 10) as folder:
        assert (folder.parent, list(folder.iterdir())) == (root, [])
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()

    assert names(root) == []


def test_scratch_folder_after_a_kill_removes_what_it_left_and_no_living_process_s(root: Path) -> None:
    (killed, left), (living, kept) = hold(), hold()
    try:
        end(killed)
        assert (left / "half").exists()

        with scratch_folder("stage"):
            assert not left.exists()
            assert (kept / "half").exists()
    finally:
        end(living)


def test_scratch_folder_beyond_the_quota_raises_before_anything_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_SCRATCH_BYTES", "1000")

    with pytest.raises(DiskFull, match="1001 bytes within REDRAW_SCRATCH_BYTES=1000, got 1000"):
        scratch_folder("stage", 1001).__enter__()
    assert names(root) == []


def test_scratch_folder_counts_what_is_promised_to_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_SCRATCH_BYTES", "1000")
    other, _ = hold(needed=700)
    try:
        with scratch_folder("stage", 300), pytest.raises(DiskFull, match="got 0"):
            scratch_folder("stage", 1).__enter__()
    finally:
        end(other)

    with scratch_folder("stage", 1000):
        assert len(names(root)) == 2


def test_demand_room_within_scratch_counts_what_is_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAW_SCRATCH_BYTES", "1000")
    with scratch_folder("stage") as folder:
        (folder / "part").mkdir()
        (folder / "part" / "file").write_bytes(bytes(400))

        demand_room(folder / "part", 600)
        with pytest.raises(DiskFull, match="expected room for 1001 bytes"):
            demand_room(folder / "part", 601)


def test_demand_room_beyond_the_disk_raises(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=f"^{tmp_path}: expected {1 << 60} free bytes, got"):
        demand_room(tmp_path, 1 << 60)


def test_scratch_folder_with_a_quota_that_is_no_number_raises(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAW_SCRATCH_BYTES", "10GB")

    with pytest.raises(InvalidSetting, match="REDRAW_SCRATCH_BYTES: expected a number of bytes, got '10GB'"):
        scratch_folder("stage").__enter__()


def test_scratch_folder_leaves_what_is_not_a_stage_s(root: Path) -> None:
    (root / "somebody-s").mkdir(parents=True)
    (root / "somebody-s" / "data").touch()

    with scratch_folder("stage"):
        assert (root / "somebody-s" / "data").exists()


def test_scratch_folder_through_somebody_s_link_in_tmp_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDRAW_SCRATCH", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"redraw-{os.getuid()}").symlink_to(tmp_path / "theirs")

    with pytest.raises(StorageForbidden, match="got a link"):
        scratch_folder("stage").__enter__()


def test_scratch_folder_is_private(root: Path) -> None:
    with scratch_folder("stage") as folder:
        assert (os.stat(root).st_mode & 0o077, os.stat(folder).st_mode & 0o077) == (0, 0)
