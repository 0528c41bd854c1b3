import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from redraw.errors import OutputExists
from redraw.export.destination import open_destination, partial_folder
from redraw.uri import Uri

WRITER = """
import sys
from pathlib import Path
from redraw.export.destination import partial_folder
with partial_folder(Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def start_writer(out: Path) -> tuple[subprocess.Popen[str], Path]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    return writer, Path(writer.stdout.readline().strip())


def test_partial_folder_of_a_killed_writer_is_hidden_and_removed_by_the_next(tmp_path: Path) -> None:
    writer, left = start_writer(tmp_path / "out")
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert list(tmp_path.iterdir()) == [left]
    assert left.name.startswith(".out.")
    with partial_folder(tmp_path / "out") as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_partial_folder_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    writer, used = start_writer(tmp_path / "out")
    try:
        with partial_folder(tmp_path / "out") as folder:
            assert folder != used
        assert (used / "half").is_file()
    finally:
        writer.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_partial_folder_renamed_is_kept_with_usual_permissions(tmp_path: Path) -> None:
    with partial_folder(tmp_path / "out") as folder:
        folder.rename(tmp_path / "out")
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_destination_is_absent_or_an_empty_folder(tmp_path: Path) -> None:
    for name, good in (("absent", True), ("empty", True), ("full", False), ("file", False)):
        out = tmp_path / name
        if name in ("empty", "full"):
            out.mkdir()
        if not good:
            (out / "model" if name == "full" else out).touch()
        refused = pytest.raises(OutputExists, match=f"{name}: expected a new or empty folder")
        with nullcontext() if good else refused, open_destination(Uri(str(out))) as destination:
            assert (destination.folder, destination.remote) == (out, False)
