"""Checkpoints in a bucket: what is read of them, and that it arrives as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.errors import BucketNotFound, CheckpointCorrupt, CheckpointNotFound
from redraw.storage.opening import open_storage

BytesRead = Callable[[], int]


def upload(folder: Path, uri: str) -> None:
    storage = open_storage(uri)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        storage.create(path.relative_to(folder).as_posix(), path)


@pytest.fixture
def large(tmp_path: Path, bucket: str) -> str:
    """A checkpoint in the bucket with 11 MB of weights, 22 MB of slots, partitioned and text tensors."""
    with BundleWriter(tmp_path / "run" / "model.ckpt-7", 12 << 20) as writer:
        for name, scale in (("w", 1), ("w/Adam", 2), ("w/Adam_1", 3)):
            writer.add_array(name, np.arange(2_500_000, dtype=np.float32) * scale)
        writer.add_slice("table", [100_000, 2], [0, 0], np.ones((60_000, 2), np.float32))
        writer.add_slice("table", [100_000, 2], [60_000, 0], np.full((40_000, 2), 2, np.float32))
        writer.add_array("words", np.array([b"a", b"bc"], object))
    upload(tmp_path / "run", f"{bucket}/run")
    return f"{bucket}/run/model.ckpt-7"


def test_move_from_a_bucket_reads_only_what_is_moved(
    large: str, bytes_read: BytesRead, tmp_path: Path
) -> None:
    source = open_checkpoint(large)
    moved = ["table", "w", "words"]
    with BundleWriter(tmp_path / "moved") as writer:
        source.expect(moved)
        for key in moved:
            source.move(key, writer, f"served/{key}")
    weights = sum(source.entries[key].size for key in moved)
    assert weights < bytes_read() <= 1.02 * weights
    local, here = TensorBundle(tmp_path / "run" / "model.ckpt-7"), TensorBundle(tmp_path / "moved")
    here.verify()
    for key in moved:
        np.testing.assert_array_equal(here.read_array(f"served/{key}"), local.read_array(key))
    assert source.digest() == local.digest()


# More variables than there are parts in flight: what is read ahead and then not used is read again.
def test_move_many_variables_from_a_bucket_reads_each_once(
    bucket: str, bytes_read: BytesRead, tmp_path: Path
) -> None:
    names = [f"layer_{number}/kernel" for number in range(12)]
    with BundleWriter(tmp_path / "run" / "ckpt") as writer:
        for number, name in enumerate(names):
            writer.add_array(name, np.full(100_000, number, np.float32))
    upload(tmp_path / "run", bucket)
    source = open_checkpoint(f"{bucket}/ckpt")
    before = bytes_read()
    with BundleWriter(tmp_path / "moved") as writer:
        source.expect(sorted(names))
        for name in sorted(names):
            source.move(name, writer, name)
    assert bytes_read() - before == 12 * 400_000
    moved = TensorBundle(tmp_path / "moved")
    assert [float(moved.read_array(name)[-1]) for name in names] == list(range(12))


def test_open_in_a_bucket_by_folder_step_or_index_finds_it(large: str) -> None:
    folder = large.rpartition("/")[0]
    for source in (
        open_checkpoint(folder),
        open_checkpoint(f"{folder}/"),
        open_checkpoint(folder, step=7),
        open_checkpoint(f"{large}.index"),
    ):
        assert source.uri == large
    open_checkpoint(large).verify()


def test_open_absent_in_a_bucket_says_so(bucket: str) -> None:
    with pytest.raises(CheckpointNotFound, match="found none"):
        open_checkpoint(f"{bucket}/nowhere")
    with pytest.raises(CheckpointNotFound, match="found none"):
        open_checkpoint(bucket)
    with pytest.raises(BucketNotFound):
        open_checkpoint("gs://redraw-no-such-bucket/run")


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "replaced"])
def test_move_damaged_data_from_a_bucket_names_tensor_and_file(
    damage: str, tmp_path: Path, bucket: str
) -> None:
    with BundleWriter(tmp_path / "run" / "ckpt") as writer:
        writer.add_array("w", np.arange(1000, dtype=np.float32))
    data = tmp_path / "run" / "ckpt.data-00000-of-00001"
    content = data.read_bytes()
    if damage == "missing":
        data.unlink()
    elif damage == "truncated":
        data.write_bytes(content[:-1])
    elif damage == "flipped":
        data.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    upload(tmp_path / "run", bucket)
    source = open_checkpoint(f"{bucket}/ckpt")
    if damage == "replaced":
        storage = open_storage(bucket)
        found = storage.stat(data.name)
        assert found is not None
        storage.replace(data.name, content[::-1], found.generation)
    with (
        pytest.raises(CheckpointCorrupt, match=rf"{bucket}/ckpt\.data-00000-of-00001"),
        BundleWriter(tmp_path / "moved") as writer,
    ):
        source.move("w", writer, "w")
    assert not list(tmp_path.glob("moved*"))


@pytest.mark.parametrize(
    ("name", "most"), [("model.keras", 2.0), ("model.weights.h5", 2.0), ("legacy.h5", 3.0)]
)
def test_open_keras_file_in_a_bucket_reads_it_in_place(
    name: str, most: float, keras_3_files: Any, bucket: str, bytes_read: BytesRead
) -> None:
    path = keras_3_files.folder / name
    open_storage(bucket).create(name, path)
    remote, local = open_checkpoint(f"{bucket}/{name}"), open_checkpoint(path)
    assert remote.format == local.format
    assert remote.digest() == local.digest()
    assert bytes_read() < most * path.stat().st_size + (1 << 17)


def test_open_v1_and_saved_model_in_a_bucket_are_read(
    v1_prefix: Path, keras_2_files: Any, bucket: str
) -> None:
    upload(v1_prefix.parent, f"{bucket}/v1")
    upload(keras_2_files.folder / "saved_model", f"{bucket}/saved")
    assert open_checkpoint(f"{bucket}/v1").digest() == open_checkpoint(v1_prefix).digest()
    saved = open_checkpoint(f"{bucket}/saved")
    assert saved.uri == f"{bucket}/saved/variables/variables"
    saved.verify()


def test_verify_in_a_bucket_reads_each_byte_once(
    bucket: str, tmp_path: Path, bytes_read: Callable[[], int]
) -> None:
    with BundleWriter(tmp_path / "ckpt") as writer:
        for number in range(8):
            writer.add_array(f"w{number}", np.random.default_rng(number).random(50_000, np.float32))
    for path in tmp_path.iterdir():
        open_storage(bucket).create(path.name, path)
    source = open_checkpoint(f"{bucket}/ckpt")
    before = bytes_read()
    source.verify()
    assert bytes_read() - before == (tmp_path / "ckpt.data-00000-of-00001").stat().st_size
