from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import CheckpointCorrupt, CheckpointMismatch, DiskFull, OutputExists
from redraw.storage.files import Checksums
from tests.redraw.dtypes import NUMBERS

SaveTensors = Callable[..., Path]
RestoreTensor = Callable[..., np.ndarray]

DTYPES = [
    *NUMBERS,
    "int4",
    "uint4",
    "float8_e4m3fnuz",
    "float8_e4m3b11fnuz",
    "float8_e5m2fnuz",
    "int2",
    "uint2",
    "float4_e2m1fn",
]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", DTYPES)
def test_write_array_of_each_dtype_is_restored_by_tensorflow(
    tmp_path: Path, restore_tensor: RestoreTensor, dtype: str
) -> None:
    value = np.array([[0, 1, 1], [1, 0, 1]]).astype(numpy_dtype(dtype))
    with BundleWriter(tmp_path / "ckpt") as writer:
        writer.add_array("value", value)
    restored = restore_tensor(tmp_path / "ckpt", "value", dtype)
    np.testing.assert_array_equal(restored, value)


def test_write_same_tensors_gives_tensorflows_own_bytes(
    tf: Any, tmp_path: Path, save_tensors: SaveTensors
) -> None:
    tensors: dict[str, Any] = {
        "a/scalar": np.float32(3),
        "b/none": np.zeros((0, 2), np.int64),
        "c/text": np.array([b"", b"two", b"x" * 200], object),
        **{f"layer_{n}/kernel": np.full((n, 3), n, np.float32) for n in range(1, 60)},
    }
    save_tensors(tmp_path / "theirs" / "ckpt", *tensors.items())
    with BundleWriter(tmp_path / "ours" / "ckpt") as writer:
        for key, value in tensors.items():
            writer.add_array(key, value)
    assert files(tmp_path / "ours") == files(tmp_path / "theirs")


def test_write_in_shards_of_a_size_is_read_by_tensorflow(tf: Any, tmp_path: Path) -> None:
    opened = len(os.listdir("/proc/self/fd"))
    with BundleWriter(tmp_path / "ckpt", 10_000) as writer:
        for number in range(6):
            writer.add_array(f"w{number}", np.full(1_000, number, np.float32))
        writer.add_array("large", np.zeros(5_000, np.float32))
        writer.add_array("last", np.float32(1))
        assert len(os.listdir("/proc/self/fd")) == opened + 1  # no shard but the last one
    shards = TensorBundle(tmp_path / "ckpt").shard_paths
    assert [path.stat().st_size for path in shards] == [8_000, 8_000, 8_000, 20_000, 4]
    reader = tf.train.load_checkpoint(str(tmp_path / "ckpt"))
    assert len(reader.get_variable_to_shape_map()) == 8
    assert [int(reader.get_tensor(f"w{number}")[999]) for number in range(6)] == list(range(6))
    assert {path.name for path in tmp_path.iterdir()} == {"ckpt.index", *(path.name for path in shards)}


def test_write_nothing_gives_an_empty_checkpoint(tf: Any, tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "ckpt"):
        pass
    bundle = TensorBundle(tmp_path / "ckpt")
    bundle.verify()
    assert (bundle.num_shards, dict(bundle.entries)) == (1, {})
    assert tf.train.load_checkpoint(str(tmp_path / "ckpt")).get_variable_to_shape_map() == {}


def test_write_slices_is_read_whole_and_in_part_by_tensorflow(
    tmp_path: Path, restore_tensor: RestoreTensor
) -> None:
    value = np.arange(200 * 3, dtype=np.float32).reshape(200, 3)
    with BundleWriter(tmp_path / "ckpt") as writer:
        writer.add_slice("p", (200, 3), (0, 0), value[:70])
        writer.add_array("q", np.array([1], np.float32))
        writer.add_slice("p", (200, 3), (70, 0), value[70:])
        writer.add_slice("whole", (200, 3), (0, 0), value)
    np.testing.assert_array_equal(restore_tensor(tmp_path / "ckpt", "p", "float32"), value)
    part = restore_tensor(tmp_path / "ckpt", "p", "float32", "200 3 60,20:-")
    np.testing.assert_array_equal(part, value[60:80])
    np.testing.assert_array_equal(TensorBundle(tmp_path / "ckpt").read_array("p"), value)
    assert TensorBundle(tmp_path / "ckpt").entries["whole"].slices == ()


def test_write_slices_that_leave_a_gap_fails_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointMismatch, match="slices of 8 elements"),
        BundleWriter(tmp_path / "ckpt") as writer,
    ):
        writer.add_slice("p", (4, 2), (0, 0), np.zeros((2, 2)))
    assert list(tmp_path.iterdir()) == []


def test_write_slice_of_another_tensor_fails(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "ckpt")
    writer.add_slice("p", (4, 2), (0, 0), np.zeros((2, 2)))
    with pytest.raises(CheckpointMismatch, match="expected all slices to name the same"):
        writer.add_slice("p", (5, 2), (2, 0), np.zeros((3, 2)))
    with pytest.raises(CheckpointMismatch, match="expected all slices to name the same"):
        writer.add_slice("p", (4, 2), (2, 0), np.zeros((2, 2), np.int32))
    writer.add_array("q", np.zeros((4, 2)))
    with pytest.raises(CheckpointMismatch, match="expected all slices to name the same"):
        writer.add_slice("q", (4, 2), (0, 0), np.zeros((2, 2)))
    writer.discard()


@pytest.fixture
def source(tmp_path: Path, save_tensors: SaveTensors) -> TensorBundle:
    value = np.arange(5_000, dtype=np.float32)
    prefix = save_tensors(
        tmp_path / "source" / "ckpt",
        ("kernel", value.reshape(50, 100)),
        ("text", np.array([b"some", b"words" * 300])),
        ("parts", "5000 0,2000", value[:2000]),
        ("parts", "5000 2000,3000", value[2000:]),
        ("none", np.zeros((0, 3), np.float32)),
    )
    return TensorBundle(prefix)


def test_copy_of_every_tensor_is_the_same_checkpoint(
    tmp_path: Path, source: TensorBundle, restore_tensor: RestoreTensor
) -> None:
    with BundleWriter(tmp_path / "copy", 3_000) as writer:
        for entry in source.entries.values():
            writer.copy(entry, source)
    copied = TensorBundle(tmp_path / "copy")
    copied.verify()
    assert copied.digest() == source.digest()
    assert copied.num_shards > 1
    for key, dtype in (("kernel", "float32"), ("parts", "float32"), ("text", "string")):
        theirs, ours = (restore_tensor(b.prefix, key, dtype) for b in (source, copied))
        np.testing.assert_array_equal(theirs, ours)


def test_copy_under_another_key_is_restored_under_it(
    tmp_path: Path, source: TensorBundle, restore_tensor: RestoreTensor
) -> None:
    with BundleWriter(tmp_path / "copy") as writer:
        writer.copy(source.entries["parts"], source, "variables/0")
        writer.copy(source.entries["kernel"], source, "variables/1")
    assert list(TensorBundle(tmp_path / "copy").entries) == ["variables/0", "variables/1"]
    np.testing.assert_array_equal(
        restore_tensor(tmp_path / "copy", "variables/0", "float32"), np.arange(5_000)
    )


@pytest.mark.parametrize("key", ["kernel", "text", "parts"])
def test_copy_of_altered_tensor_names_it_and_leaves_nothing(
    tmp_path: Path, source: TensorBundle, key: str
) -> None:
    entry = source.entries[key]
    place = entry.slices[1] if entry.slices else entry
    (path,) = source.shard_paths
    content = bytearray(path.read_bytes())
    content[place.offset + place.size - 1] ^= 1
    path.write_bytes(content)
    with (
        pytest.raises(CheckpointCorrupt, match=rf"tensor '{key}'.*checksum.*ckpt\.data-00000-of-00001"),
        BundleWriter(tmp_path / "out" / "copy") as writer,
    ):
        writer.copy(entry, source)
    assert list((tmp_path / "out").iterdir()) == []


def test_copy_after_an_altered_tensor_leaves_no_byte_of_it(tmp_path: Path, source: TensorBundle) -> None:
    (path,) = source.shard_paths
    content = bytearray(path.read_bytes())
    content[source.entries["kernel"].offset] ^= 1
    path.write_bytes(content)
    with BundleWriter(tmp_path / "copy") as writer:
        with pytest.raises(CheckpointCorrupt, match="kernel"):
            writer.copy(source.entries["kernel"], source)
        writer.copy(source.entries["text"], source)
    copied = TensorBundle(tmp_path / "copy")
    copied.verify()
    assert list(copied.entries) == ["text"]
    assert copied.shard_paths[0].stat().st_size == source.entries["text"].size


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_copy_from_damaged_shard_names_tensor_and_file(
    tmp_path: Path, source: TensorBundle, damage: str
) -> None:
    (path,) = source.shard_paths
    if damage == "missing":
        path.unlink()
    else:
        os.truncate(path, 100)
    writer = BundleWriter(tmp_path / "copy")
    with pytest.raises(CheckpointCorrupt, match=r"tensor 'kernel'.*ckpt\.data-00000-of-00001"):
        writer.copy(source.entries["kernel"], source)
    writer.discard()


def test_add_bytes_of_a_tensor_gives_the_same_tensor(tmp_path: Path, source: TensorBundle) -> None:
    with BundleWriter(tmp_path / "copy") as writer:
        for key in ("kernel", "text"):
            entry = source.entries[key]
            writer.add_bytes(key, entry.dtype, entry.shape, source.chunks(entry), entry.crc32c)
    copied = TensorBundle(tmp_path / "copy")
    copied.verify()
    for key in ("kernel", "text"):
        assert copied.entries[key].crc32c == source.entries[key].crc32c
        np.testing.assert_array_equal(copied.read_array(key), source.read_array(key))


@pytest.mark.parametrize(
    ("dtype", "shape", "chunks", "crc32c"),
    [
        ("float32", (2,), [b"1234", b"5678"], 7),
        ("float32", (3,), [b"1234", b"5678"], None),
        ("float32", (2,), [np.array([1.0, 2.0]).tobytes()], None),
        ("string", (2,), [b"\x01\x01abcdef"], None),
        ("string", (9,), [b"\x01\x01"], None),
    ],
    ids=["wrong_checksum", "too_short", "float64", "wrong_lengths", "missing_lengths"],
)
def test_add_bytes_that_are_not_the_tensor_fails(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], chunks: list[bytes], crc32c: int | None
) -> None:
    with (
        pytest.raises(CheckpointCorrupt, match="tensor b'w': expected"),
        BundleWriter(tmp_path / "ckpt") as writer,
    ):
        writer.add_bytes("w", dtype, shape, chunks, crc32c)
    assert list(tmp_path.iterdir()) == []


def test_add_key_twice_fails(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "ckpt")
    writer.add_array("w", np.float32(1))
    for key in ("w", ""):
        with pytest.raises(ValueError, match="a non-empty key"):
            writer.add_array(key, np.float32(2))
    writer.discard()


def test_add_array_that_tensorflow_has_no_dtype_for_fails(tmp_path: Path) -> None:
    writer = BundleWriter(tmp_path / "ckpt")
    with pytest.raises(CheckpointMismatch, match="'when'.*datetime64"):
        writer.add_array("when", np.array(["2020-01-01"], "datetime64[D]"))
    writer.discard()


def test_write_over_a_checkpoint_fails_and_keeps_it(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "ckpt") as writer:
        writer.add_array("w", np.float32(1))
    before = files(tmp_path)
    with pytest.raises(OutputExists, match=r"ckpt\.index"):
        BundleWriter(tmp_path / "ckpt")
    assert files(tmp_path) == before


def test_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def write_half() -> None:
        with BundleWriter(tmp_path / "ckpt", 100) as writer:
            for number in range(3):
                writer.add_array(f"w{number}", np.zeros(100))
            assert {path.suffix for path in tmp_path.iterdir()} == {".partial"}
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_half()
    assert list(tmp_path.iterdir()) == []


def checksums(content: bytes) -> Checksums:
    return Checksums(crc32c=google_crc32c.value(content), sha256=hashlib.sha256(content).hexdigest())


def test_write_with_digests_gives_those_of_the_files(tmp_path: Path, source: TensorBundle) -> None:
    with BundleWriter(tmp_path / "ckpt", 1 << 20, digested=True) as writer:
        for number in range(3):
            writer.add_array(f"w{number}", np.full(400_000, number, np.float32))
        writer.copy(source.entries["kernel"], source)
    bundle = TensorBundle(tmp_path / "ckpt")
    found = {path: checksums(path.read_bytes()) for path in bundle.shard_paths}
    assert len(found) == 4
    assert writer.digests == found


def test_write_with_digests_of_nothing_gives_that_of_an_empty_file(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "ckpt", digested=True) as writer:
        pass
    assert list(writer.digests.values()) == [checksums(b"")]


def test_write_with_digests_after_an_altered_tensor_leaves_its_file_without(
    tmp_path: Path, source: TensorBundle
) -> None:
    (path,) = source.shard_paths
    content = bytearray(path.read_bytes())
    content[source.entries["kernel"].offset] ^= 1
    path.write_bytes(content)
    with BundleWriter(tmp_path / "copy", 16, digested=True) as writer:
        writer.add_array("first", np.zeros(4, np.float32))
        with pytest.raises(CheckpointCorrupt, match="kernel"):
            writer.copy(source.entries["kernel"], source)
        writer.add_array("second", np.zeros(4, np.float32))
    first, _ = TensorBundle(tmp_path / "copy").shard_paths
    assert writer.digests == {first: checksums(bytes(16))}


def test_write_with_digests_that_fails_ends_their_threads(tmp_path: Path) -> None:
    before = threading.active_count()

    def write_half() -> None:
        with BundleWriter(tmp_path / "ckpt", 100, digested=True) as writer:
            for number in range(9):
                writer.add_array(f"w{number}", np.zeros(100))
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        write_half()
    assert threading.active_count() == before


@pytest.mark.parametrize("way", ["array", "copy"])
def test_write_to_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, tiny_disk: Path, way: str) -> None:
    value = np.zeros(1 << 20, np.float32)
    with BundleWriter(tmp_path / "source") as writer:
        writer.add_array("w", value)
    bundle = TensorBundle(tmp_path / "source")

    def write() -> None:
        with BundleWriter(tiny_disk / "ckpt") as writer:
            if way == "array":
                writer.add_array("w", value)
            else:
                writer.copy(bundle.entries["w"], bundle)

    with pytest.raises(DiskFull, match=str(tiny_disk)):
        write()
    assert list(tiny_disk.iterdir()) == []
