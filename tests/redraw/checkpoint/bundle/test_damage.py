from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest

from redraw.checkpoint.bundle.encoding import mask_crc32c
from redraw.checkpoint.bundle.messages import BundleEntryProto, BundleHeaderProto
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.table import read_table
from redraw.checkpoint.bundle.table_writer import encode_table
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.errors import CheckpointCorrupt, CheckpointMismatch

SaveTensors = Callable[..., Path]


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def test_verify_flipped_bit_names_tensor_and_file(bundle: TensorBundle) -> None:
    assert bundle.num_shards == 3
    flip(bundle.shard_paths[1], 2_000)
    with pytest.raises(CheckpointCorrupt, match=r"'layer_1/kernel'.*checksum.*ckpt-3\.data-00001-of-00003"):
        bundle.verify()
    with pytest.raises(CheckpointCorrupt, match="layer_1/kernel"):
        bundle.read_array("layer_1/kernel")
    np.testing.assert_array_equal(bundle.read_array("layer_0/kernel"), np.arange(1000))


def test_verify_of_several_damaged_tensors_names_the_first_of_the_file(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "turned") as writer:
        for name in ("last", "first"):
            writer.add_array(name, np.zeros(4, np.float32))
    turned = TensorBundle(tmp_path / "turned")
    for position in (0, 16):
        flip(turned.shard_paths[0], position)
    with pytest.raises(CheckpointCorrupt, match="'last'"):
        turned.verify()


def test_verify_truncated_shard_names_tensor_and_file(bundle: TensorBundle) -> None:
    path = bundle.shard_paths[2]
    path.write_bytes(path.read_bytes()[:3_000])
    with pytest.raises(CheckpointCorrupt, match=r"'layer_2/kernel'.*4000 bytes.*3000 bytes.*data-00002"):
        bundle.verify()
    with pytest.raises(CheckpointCorrupt, match=r"'layer_2/kernel'.*data-00002"):
        bundle.read_array("layer_2/kernel")


def test_verify_missing_shard_names_file(bundle: TensorBundle) -> None:
    bundle.shard_paths[1].unlink()
    with pytest.raises(CheckpointCorrupt, match=r"a data file.*data-00001-of-00003"):
        bundle.verify()
    with pytest.raises(CheckpointCorrupt, match=r"'layer_1/kernel'.*data-00001-of-00003"):
        bundle.read_bytes("layer_1/kernel")


def test_verify_index_of_another_checkpoint_fails(bundle: TensorBundle, tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "other", 4_100) as writer:
        for number in range(3):
            writer.add_array(f"layer_{number}/kernel", np.ones(1000, np.float32))
        writer.add_array("words", np.array([b"xy", b"cde"], object))
    shutil.copy(tmp_path / "other.index", bundle.index_path)
    with pytest.raises(CheckpointCorrupt, match="'layer_0/kernel': expected the checksum"):
        TensorBundle(bundle.prefix).verify()


def rewrite(bundle: TensorBundle, change: Callable[[dict[bytes, Any]], None]) -> Path:
    """Alter a checkpoint's index, its checksums kept true."""
    items = dict(read_table(bundle.index_path))
    messages = {
        key: (BundleEntryProto if key else BundleHeaderProto).FromString(value)
        for key, value in items.items()
    }
    change(messages)
    ordered = sorted(messages.items())
    bundle.index_path.write_bytes(encode_table((key, value.SerializeToString()) for key, value in ordered))
    return bundle.prefix


def test_verify_entry_without_a_checksum_fails(bundle: TensorBundle, tmp_path: Path) -> None:
    prefix = rewrite(bundle, lambda messages: messages[b"layer_1/kernel"].ClearField("crc32c"))
    bare = TensorBundle(prefix)
    with pytest.raises(CheckpointCorrupt, match="'layer_1/kernel': expected the checksum 0x00000000"):
        bare.verify()
    with pytest.raises(CheckpointCorrupt, match="'layer_1/kernel': expected the checksum 0x00000000"):
        bare.read_array("layer_1/kernel")
    with (
        pytest.raises(CheckpointCorrupt, match="'layer_1/kernel': expected the checksum 0x00000000"),
        BundleWriter(tmp_path / "copy") as writer,
    ):
        writer.copy(bare.entries["layer_1/kernel"], bare)


def alter(key: bytes, **values: int) -> Callable[[dict[bytes, Any]], None]:
    def change(messages: dict[bytes, Any]) -> None:
        for name, value in values.items():
            setattr(messages[key], name, value)

    return change


def reshape(*sizes: int, dtype: int = 1) -> Callable[[dict[bytes, Any]], None]:
    def change(messages: dict[bytes, Any]) -> None:
        entry = messages[b"layer_0/kernel"]
        entry.dtype = dtype
        del entry.shape.dim[:]
        for size in sizes:
            entry.shape.dim.add(size=size)

    return change


KERNEL = b"layer_0/kernel"
LYING = {
    "no_shards": (alter(b"", num_shards=0), "header.*data files"),
    "absurd_shards": (alter(b"", num_shards=2**31 - 1), "header.*data files"),
    "big_endian": (alter(b"", endianness=1), "header.*little-endian"),
    "no_header": (lambda messages: messages.pop(b""), "header"),
    "unknown_dtype": (alter(KERNEL, dtype=77), "'layer_0/kernel'.*number 77"),
    "reference_dtype": (alter(KERNEL, dtype=101), "number 101"),
    "shard_beyond": (alter(KERNEL, shard_id=3), "of data file number 3"),
    "negative_shard": (alter(KERNEL, shard_id=-1), "of data file number -1"),
    "negative_offset": (alter(KERNEL, offset=-8), "at offset -8"),
    "negative_size": (alter(KERNEL, size=-4000), "-4000 bytes"),
    "wrong_size": (alter(KERNEL, size=3996), "4000 bytes.*3996 bytes"),
    "wrong_dtype": (alter(KERNEL, dtype=2), "8000 bytes for float64.*4000 bytes"),
    "absurd_shape": (reshape(2**62), "fewer than 2\\^63 bytes"),
    "absurd_shape_by_one": (reshape(2**61), "fewer than 2\\^63 bytes"),
    "strings_without_their_lengths": (reshape(3997, dtype=7), "at least 4001 bytes for 3997 strings"),
    "absurd_shape_of_nothing": (reshape(2**62, 0, 2**62), "fewer than 2\\^63 bytes"),
    "absurd_product": (reshape(2**31, 2**31, 2**31), "fewer than 2\\^63 bytes"),
    "absurd_strings": (reshape(2**40, dtype=7), "strings"),
    "negative_dimension": (reshape(-1000), "no negative dimension"),
    "absurd_rank": (reshape(*[1] * 300), "a rank of 0 to 254"),
}


@pytest.mark.parametrize(("change", "message"), LYING.values(), ids=LYING)
def test_open_index_that_lies_fails_and_says_how(
    bundle: TensorBundle, change: Callable[[dict[bytes, Any]], None], message: str
) -> None:
    prefix = rewrite(bundle, change)
    with pytest.raises(CheckpointCorrupt, match=message) as caught:
        TensorBundle(prefix)
    assert str(bundle.index_path) in str(caught.value)


@pytest.mark.parametrize(("number", "dtype"), [(20, "resource"), (21, "variant")])
def test_read_what_no_array_holds_is_refused_by_its_name(
    bundle: TensorBundle, number: int, dtype: str
) -> None:
    held = TensorBundle(rewrite(bundle, alter(KERNEL, dtype=number)))
    with pytest.raises(CheckpointMismatch, match=f"'layer_0/kernel'.*got {dtype} of rank 1"):
        held.read_array("layer_0/kernel")


@pytest.mark.parametrize("offset", [1, 1 << 40])
def test_read_offset_beyond_the_file_names_tensor_and_file(bundle: TensorBundle, offset: int) -> None:
    damaged = TensorBundle(rewrite(bundle, alter(KERNEL, offset=offset)))
    for read in (damaged.verify, lambda: damaged.read_array("layer_0/kernel")):
        with pytest.raises(
            CheckpointCorrupt, match=rf"'layer_0/kernel'.*at offset {offset},.*data-00000-of-00003"
        ):
            read()


STRINGS = {
    "too_long": (b"\x09\x09", "add up"),
    "too_short": (b"\x01\x03", "add up"),
    "longer_than_the_tensor": (b"\xff\xff\x7f", "at most"),
    "endless": (b"\xff" * 11, "fewer than 10 bytes|more bytes"),
}


@pytest.mark.parametrize(("lengths", "message"), STRINGS.values(), ids=STRINGS)
def test_read_string_lengths_that_lie_fails(
    bundle: TensorBundle, tmp_path: Path, lengths: bytes, message: str
) -> None:
    """The lengths' own checksum is made to hold, so that only the lengths themselves are wrong."""
    entry = bundle.entries["words"]
    covered = b"".join(struct.pack("<I", number) for number in lengths)
    checksum = struct.pack("<I", mask_crc32c(google_crc32c.value(covered)))
    stored = (lengths + checksum + b"abcde" * 3)[: entry.size]
    path = bundle.shard_paths[entry.shard]
    content = bytearray(path.read_bytes())
    content[entry.offset : entry.offset + entry.size] = stored
    path.write_bytes(content)
    for read in (bundle.verify, lambda: bundle.read_array("words")):
        with pytest.raises(CheckpointCorrupt, match=rf"'words'.*({message})"):
            read()


def sliced(tmp_path: Path, save_tensors: SaveTensors) -> TensorBundle:
    value = np.arange(12, dtype=np.float32).reshape(6, 2)
    return TensorBundle(
        save_tensors(tmp_path / "parts", ("p", "6 2 0,3:-", value[:3]), ("p", "6 2 3,3:-", value[3:]))
    )


def drop_slice(messages: dict[bytes, Any]) -> None:
    messages.pop(min(key for key in messages if key))


def unlist_slice(messages: dict[bytes, Any]) -> None:
    del messages[b"p"].slices[1]


def overlap_slices(messages: dict[bytes, Any]) -> None:
    del messages[b"p"].slices[1]
    messages[b"p"].slices.append(messages[b"p"].slices[0])


def move_slice_outside(messages: dict[bytes, Any]) -> None:
    messages[b"p"].shape.dim[0].size = 4


def reshape_slice(messages: dict[bytes, Any]) -> None:
    dims = messages[min(key for key in messages if key)].shape.dim
    dims[0].size, dims[1].size = 2, 3


SLICES = {
    "missing_entry": (drop_slice, "an index entry for the slice of"),
    "listed_twice": (overlap_slices, "once, got twice"),
    "outside": (move_slice_outside, "slices within"),
    "other_shape": (reshape_slice, "with dtype float32, got another dtype or shape"),
}


@pytest.mark.parametrize(("change", "message"), SLICES.values(), ids=SLICES)
def test_open_slices_that_do_not_fit_fails(
    tmp_path: Path, save_tensors: SaveTensors, change: Callable[[dict[bytes, Any]], None], message: str
) -> None:
    bundle = sliced(tmp_path, save_tensors)
    with pytest.raises(CheckpointCorrupt, match=message):
        TensorBundle(rewrite(bundle, change))


def test_read_slices_that_lack_some_elements_fails_and_the_others_are_read(
    tmp_path: Path, save_tensors: SaveTensors
) -> None:
    """Slots of a partitioned variable each claim its whole shape: what is not read may have gaps."""
    bundle = TensorBundle(rewrite(sliced(tmp_path, save_tensors), unlist_slice))
    with pytest.raises(
        CheckpointCorrupt, match=r"tensor 'p': expected slices that cover .* got 6 of 12 elements"
    ):
        bundle.read_array("p")
    with pytest.raises(CheckpointCorrupt, match="6 of 12 elements"):
        bundle.read_bytes("p")
    bundle.verify()


def test_read_slices_that_share_bytes_fails(tmp_path: Path, save_tensors: SaveTensors) -> None:
    bundle = sliced(tmp_path, save_tensors)

    def share(messages: dict[bytes, Any]) -> None:
        for key in sorted(messages)[1:3]:
            messages[key].offset = 0

    with pytest.raises(CheckpointCorrupt, match="that share the bytes at offset 0"):
        TensorBundle(rewrite(bundle, share)).read_array("p")
