"""Decode a checkpoint's index and check that it is consistent.

The index maps each tensor's key to a `BundleEntryProto`, and the empty key to the
`BundleHeaderProto`. A partitioned tensor has one entry that lists its slices, and for
each slice an entry under a key made from both.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/protobuf/tensor_bundle.proto
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraw.checkpoint.bundle.dtypes import dtype_name, has_fixed_size, numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError, encode_slice_key
from redraw.checkpoint.bundle.messages import BundleEntryProto, BundleHeaderProto, parse_message
from redraw.checkpoint.bundle.slices import Uncovered, check_cover
from redraw.checkpoint.bundle.table import read_table
from redraw.records.forms import HIGHEST_RANK

_FORMAT_VERSION = 1
_MOST_SHARDS = 99_999  # five digits in a shard's name
# A tensor's name takes some hundred bytes, a million tensors some hundred megabytes.
_LONGEST_KEY = 8192
LARGEST_INDEX = 256 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSlice:
    """One part of a partitioned tensor, and where its bytes are.

    Attributes:
        starts: Its first element in each dimension.
        lengths: Its elements in each dimension; -1 if it declares to take all.
        shape: Its elements in each dimension.
        shard: The data file, counted from 0.
        offset: Its first byte in that file.
        size: Its bytes.
        crc32c: Its masked checksum.
    """

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """One tensor of a checkpoint.

    Attributes:
        key: Its name in the checkpoint.
        dtype: TensorFlow's name of it.
        shape: Its dimensions; empty for a scalar.
        shard: The data file, counted from 0; 0 when it has slices.
        offset: Its first byte in that file; 0 when it has slices.
        size: Its bytes, in all slices.
        crc32c: Its masked checksum; 0 when it has slices.
        slices: Its parts, if it is partitioned.
        gaps: What its parts do not cover; empty if they cover the whole tensor.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int
    slices: tuple[TensorSlice, ...] = ()
    gaps: str = ""

    def demand_whole(self, where: str) -> None:
        """Refuse to read a tensor whose parts do not cover it.

        Raises:
            CheckpointCorrupt: The parts leave gaps, as those of a slot of a partitioned variable may.
        """
        if self.gaps:
            raise MalformedError(f"slices that cover the whole shape {list(self.shape)}", self.gaps).found_in(
                where, f"tensor {self.key!r}"
            )

    @property
    def pieces(self) -> tuple[TensorEntry, ...] | tuple[TensorSlice, ...]:
        """The ranges of bytes that it is stored in: the tensor itself, or each of its slices."""
        return self.slices or (self,)


def decode_text(value: bytes) -> str:
    """Decode a name of any bytes; `encode_text` gives the same bytes back."""
    return value.decode("utf-8", "surrogateescape")


def encode_text(value: str) -> bytes:
    """The bytes of a name from `decode_text`."""
    return value.encode("utf-8", "surrogateescape")


def read_entries(index: Path, name: str = "") -> tuple[int, dict[str, TensorEntry]]:
    """Read a checkpoint's index.

    Args:
        index: The file.
        name: Its name in messages; its path by default.

    Returns:
        The number of data files, and the tensors by key, in the index's order.

    Raises:
        CheckpointCorrupt: The index is damaged or contradicts itself.
        FileNotFoundError: There is no such file.
    """
    what = "header"
    try:
        if (size := index.stat().st_size) > LARGEST_INDEX:
            raise MalformedError(f"an index of at most {LARGEST_INDEX} bytes", f"{size}")
        table = dict(read_table(index, name))
        if (longest := max(map(len, table), default=0)) > _LONGEST_KEY:
            raise MalformedError(f"names of at most {_LONGEST_KEY} bytes", f"{longest}")
        shards = _shard_count(table.pop(b"", b""))
        protos = {}
        for key, value in table.items():
            what = f"tensor {decode_text(key)!r}"
            protos[key] = _parse_entry(value, shards)
        used_slices: set[bytes] = set()
        entries = {}
        for key, entry in protos.items():
            what = f"tensor {decode_text(key)!r}"
            entries[key] = _tensor(key, entry, protos, used_slices)
    except MalformedError as err:
        raise err.found_in(name or index, what) from err
    return shards, {decode_text(key): entry for key, entry in entries.items() if key not in used_slices}


def digest_entries(entries: Mapping[str, TensorEntry]) -> str:
    """SHA-256 over the tensors in hex; the names and the number of their files do not change it."""
    digest = hashlib.sha256()
    for key in sorted(entries):
        entry = entries[key]
        parts = sorted((part.starts, part.shape, part.size, part.crc32c) for part in entry.slices)
        line = [key, entry.dtype, entry.shape, parts, entry.size, entry.crc32c]
        digest.update(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
    return digest.hexdigest()


def _shard_count(value: bytes) -> int:
    header = parse_message(BundleHeaderProto, value)
    if header.endianness != 0:
        raise MalformedError("little-endian tensors (0)", f"endianness {header.endianness}")
    if header.version.min_consumer > _FORMAT_VERSION:
        raise MalformedError(f"format version {_FORMAT_VERSION} at most", f"{header.version.min_consumer}")
    shards = int(header.num_shards)
    if not 1 <= shards <= _MOST_SHARDS:
        raise MalformedError(f"1 to {_MOST_SHARDS} data files", f"{shards}")
    return shards


def _parse_entry(value: bytes, shards: int) -> Any:
    entry = parse_message(BundleEntryProto, value)
    dtype = dtype_name(entry.dtype)
    if dtype is None:
        raise MalformedError("a TensorFlow dtype", f"dtype number {entry.dtype}")
    if entry.shape.unknown_rank or len(entry.shape.dim) > HIGHEST_RANK:
        raise MalformedError(
            f"a rank of 0 to {HIGHEST_RANK}",
            f"{'an unknown rank' if entry.shape.unknown_rank else f'rank {len(entry.shape.dim)}'}",
        )
    if entry.slices:
        return entry
    if entry.offset < 0 or entry.size < 0 or not 0 <= entry.shard_id < shards:
        place = f"{entry.size} bytes at offset {entry.offset} of data file number {entry.shard_id}"
        raise MalformedError(f"a place in one of the {shards} data files, numbered from 0", place)
    return entry


def _tensor(key: bytes, entry: Any, protos: Mapping[bytes, Any], used_slices: set[bytes]) -> TensorEntry:
    dtype, shape = str(dtype_name(entry.dtype)), tuple(int(dim.size) for dim in entry.shape.dim)
    check_size(dtype, shape, None if entry.slices else entry.size)
    if not entry.slices:
        return TensorEntry(
            key=decode_text(key),
            dtype=dtype,
            shape=shape,
            shard=entry.shard_id,
            offset=entry.offset,
            size=entry.size,
            crc32c=entry.crc32c,
        )
    parts = tuple(_slice(key, proto, entry, shape, protos, used_slices) for proto in entry.slices)
    gaps = ""
    try:
        check_cover(shape, [(part.starts, part.shape) for part in parts])
    # Slots of a partitioned variable each claim its whole shape. Only a tensor that is read must be complete.
    except Uncovered as err:
        gaps = f"{err.got} of {math.prod(shape)} elements"
    return TensorEntry(
        key=decode_text(key),
        dtype=dtype,
        shape=shape,
        shard=0,
        offset=0,
        size=sum(part.size for part in parts),
        crc32c=0,
        slices=parts,
        gaps=gaps,
    )


def _slice(
    key: bytes,
    proto: Any,
    tensor: Any,
    shape: tuple[int, ...],
    protos: Mapping[bytes, Any],
    used_slices: set[bytes],
) -> TensorSlice:
    starts = tuple(int(extent.start) for extent in proto.extent)
    lengths = tuple(int(extent.length) if extent.HasField("length") else -1 for extent in proto.extent)
    if len(lengths) != len(shape):
        raise MalformedError(f"only slices of rank {len(shape)}", f"a slice of rank {len(lengths)}")
    slice_key = encode_slice_key(key, tuple(zip(starts, lengths, strict=True)))
    part = protos.get(slice_key)
    sizes = tuple(size if length == -1 else length for size, length in zip(shape, lengths, strict=True))
    where = f"the slice of shape {sizes} at {starts}"
    if part is None or part.slices:
        raise MalformedError(f"an index entry for {where}", "none")
    if slice_key in used_slices:
        raise MalformedError(f"{where} once", "twice")
    used_slices.add(slice_key)
    if part.dtype != tensor.dtype or tuple(dim.size for dim in part.shape.dim) != sizes:
        raise MalformedError(f"{where} with dtype {dtype_name(tensor.dtype)}", "another dtype or shape")
    check_size(str(dtype_name(part.dtype)), sizes, part.size)
    return TensorSlice(
        starts=starts,
        lengths=lengths,
        shape=sizes,
        shard=part.shard_id,
        offset=part.offset,
        size=part.size,
        crc32c=part.crc32c,
    )


def check_size(dtype: str, shape: tuple[int, ...], size: int | None) -> None:
    """Check the size of a tensor's bytes against its dtype and its shape.

    Args:
        dtype: TensorFlow's name of it.
        shape: Its dimensions.
        size: Its bytes; None if it is stored in slices.

    Raises:
        MalformedError: The shape is invalid, or the size does not match it.
    """
    if any(dim < 0 for dim in shape):
        raise MalformedError("no negative dimension", f"{shape}")
    storage = numpy_dtype(dtype)
    width = storage.itemsize if storage is not None else 1
    if math.prod(max(dim, 1) for dim in shape) * width >= 1 << 63:
        raise MalformedError("a tensor of fewer than 2^63 bytes", f"{shape}")
    if size is None:
        return
    count = math.prod(shape)
    if has_fixed_size(dtype) and size != count * width:
        raise MalformedError(f"{count * width} bytes for {dtype} {list(shape)}", f"{size} bytes")
    if dtype == "string" and size < count + 4:
        raise MalformedError(f"at least {count + 4} bytes for {count} strings", f"{size} bytes")
