"""What TensorFlow's file `checkpoint` says of the checkpoints next to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraw.checkpoint.formats.folder import list_folder
from redraw.checkpoint.formats.state_file import STATE_BYTES, newest_in_state_file, times_in_state_file
from redraw.errors import CheckpointCorrupt
from redraw.uri import Uri

LISTED = """
model_checkpoint_path: "/home/them/run/model.ckpt-20"
all_model_checkpoint_paths: "model.ckpt-10"
all_model_checkpoint_paths: "/home/them/run/model.ckpt-20"
all_model_checkpoint_paths: "C:\\\\runs\\\\model.ckpt-30"
all_model_checkpoint_paths: "old.ckpt-4-?????-of-00002"
"""
TIMES = "".join(f"all_model_checkpoint_timestamps: {1.5 * number}\n" for number in range(1, 5))


def newest(folder: Path, text: str | bytes) -> str:
    (folder / "checkpoint").write_bytes(text.encode() if isinstance(text, str) else text)
    return newest_in_state_file(list_folder(Uri(folder)))


def test_times_in_state_file_are_those_of_the_names_without_their_folders() -> None:
    assert times_in_state_file((LISTED + TIMES).encode(), "run/checkpoint") == {
        "model.ckpt-10": 1.5,
        "model.ckpt-20": 3.0,
        "model.ckpt-30": 4.5,
        "old.ckpt-4": 6.0,
    }


@pytest.mark.parametrize(
    "times", ["", TIMES.partition("\n")[0], f"{TIMES}all_model_checkpoint_timestamps: 9"]
)
def test_times_in_state_file_with_a_time_too_many_or_too_few_are_none(times: str) -> None:
    assert times_in_state_file((LISTED + times).encode(), "run/checkpoint") == {}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("model.ckpt-20", "model.ckpt-20"),
        ("../run/model.ckpt-20", "model.ckpt-20"),
        ("run/old.ckpt-4-?????-of-00002", "old.ckpt-4"),
        ("run/old.ckpt-4-????-of-00002", "old.ckpt-4-????-of-00002"),
    ],
)
def test_newest_in_state_file_is_a_name_in_its_folder(path: str, name: str, tmp_path: Path) -> None:
    assert newest(tmp_path, f'model_checkpoint_path: "{path}"\nsome_later_field: 7') == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "model_checkpoint_path, got none"),
        (
            "model_checkpoint_path 7",
            "a text protocol buffer with model_checkpoint_path, got b'model_checkpoint_path 7'",
        ),
        (b"\xff\xfe", "a text protocol buffer with model_checkpoint_path"),
        (f"# {'x' * STATE_BYTES}", f"at most {STATE_BYTES} bytes, got more"),
    ],
)
def test_newest_in_a_damaged_state_file_names_it(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointCorrupt) as damaged:
        newest(tmp_path, text)
    assert message in str(damaged.value)
    assert str(tmp_path / "checkpoint") in str(damaged.value)


def test_newest_in_the_largest_state_file_is_read(tmp_path: Path) -> None:
    line = 'model_checkpoint_path: "a"\n# '
    assert newest(tmp_path, line + "x" * (STATE_BYTES - len(line))) == "a"
