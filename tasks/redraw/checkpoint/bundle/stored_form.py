"""Turn arrays into the bytes and the index entries of a checkpoint."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import google_crc32c
import numpy as np

from redraw.checkpoint.bundle.checksum import covered_lengths
from redraw.checkpoint.bundle.dtypes import dtype_number, name_of_array
from redraw.checkpoint.bundle.encoding import MalformedError, encode_slice_key, encode_varint, mask_crc32c
from redraw.checkpoint.bundle.entries import encode_text
from redraw.checkpoint.bundle.messages import BundleEntryProto
from redraw.checkpoint.bundle.slices import check_cover
from redraw.errors import CheckpointMismatch

_CHUNK_SIZE = 512 * 1024
_STRINGS_AT_ONCE = 4096


def new_entry(dtype: str, shape: Sequence[int]) -> Any:
    """An entry without offsets; it omits zeros as TensorFlow's writer does."""
    entry = BundleEntryProto(dtype=dtype_number(dtype))
    entry.shape.SetInParent()
    for size in shape:
        dim = entry.shape.dim.add()
        if size:
            dim.size = size
    return entry


def slice_key(key: str, starts: Sequence[int], lengths: Sequence[int]) -> bytes:
    """The index key of one slice; a length of -1 takes all of its dimension."""
    return encode_slice_key(encode_text(key), tuple(zip(starts, lengths, strict=True)))


def append_slice(entry: Any, starts: Sequence[int], lengths: Sequence[int]) -> None:
    """List one more slice in the tensor's entry."""
    proto = entry.slices.add()
    for start, length in zip(starts, lengths, strict=True):
        extent = proto.extent.add()
        if start:
            extent.start = start
        if length != -1:
            extent.length = length


def check_slices(key: bytes, entry: Any) -> None:
    """Check that the slices that an entry lists cover the whole tensor.

    Raises:
        CheckpointMismatch: One is missing, or two overlap.
    """
    shape = tuple(dim.size for dim in entry.shape.dim)
    boxes = [
        (
            tuple(extent.start for extent in proto.extent),
            tuple(
                extent.length if extent.HasField("length") else size
                for extent, size in zip(proto.extent, shape, strict=True)
            ),
        )
        for proto in entry.slices
    ]
    try:
        check_cover(shape, boxes)
    except MalformedError as err:
        raise CheckpointMismatch(
            f"tensor {key!r}: {err}. Write each slice of the tensor exactly once."
        ) from err


def dtype_to_store(key: str, array: np.ndarray | np.generic) -> str:
    """TensorFlow's name of an array's dtype.

    Raises:
        CheckpointMismatch: TensorFlow has no such dtype.
    """
    dtype = name_of_array(array)
    if dtype is None:
        raise CheckpointMismatch(
            f"tensor {key!r}: expected a TensorFlow dtype, got {array.dtype}. Convert the array to a dtype"
            " that TensorFlow has."
        )
    return dtype


def store_array(array: np.ndarray | np.generic, dtype: str) -> Iterator[bytes]:
    """Yield an array's bytes in a checkpoint's encoding."""
    if dtype == "string":
        yield from _stored_strings(array)
        return
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, _CHUNK_SIZE):
        yield flat[start : start + _CHUNK_SIZE].tobytes()


def _stored_strings(array: np.ndarray | np.generic) -> Iterator[bytes]:
    texts = [encode_text(text) if isinstance(text, str) else bytes(text) for text in array.ravel().tolist()]
    lengths = np.array([len(text) for text in texts], np.uint64)
    checksum = google_crc32c.value(covered_lengths(lengths))
    yield b"".join(encode_varint(len(text)) for text in texts) + struct.pack("<I", mask_crc32c(checksum))
    for start in range(0, len(texts), _STRINGS_AT_ONCE):
        yield b"".join(texts[start : start + _STRINGS_AT_ONCE])
