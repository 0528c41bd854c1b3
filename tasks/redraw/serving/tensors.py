"""Convert NumPy arrays to TensorFlow's tensors and back with the C API, and run a session with them.

A string tensor is an array of `TF_TString`, each of which owns its bytes. Any other tensor is the bytes of
its elements in C order, with the same layout as in NumPy and `ml_dtypes`.
"""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import c_int64, c_void_p

import google_crc32c
import numpy as np

from redraw.checkpoint.bundle.dtypes import (
    dtype_name,
    dtype_number,
    has_fixed_size,
    name_of_array,
    numpy_dtype,
)
from redraw.serving.library import STRING_SIZE, Deallocator, Endpoint, Status, StatusError, tensorflow_library

# Dtypes whose elements take less than a byte, which requests do not support.
_PACKED = {"int4", "uint4", "int2", "uint2", "float4_e2m1fn"}
_CHUNK = 1 << 22
# The most rows without values: they cost a model nothing, and memory where they are shown.
_MOST_EMPTY = 1 << 20
_buffers: dict[int, ctypes.Array[ctypes.c_char]] = {}
_next_key = itertools.count(1)


def write_tensor(array: np.ndarray) -> int:
    """Make a `TF_Tensor` of an array.

    Args:
        array: An array of any dtype that requests support; strings as an object array of bytes.

    Returns:
        The tensor; the caller must pass it to `TF_DeleteTensor`.

    Raises:
        StatusError: Requests do not support the dtype.
    """
    name = name_of_array(array)
    if name is None or name in _PACKED:
        raise StatusError("UNIMPLEMENTED", f"a request cannot carry values of dtype {array.dtype}")
    shape = (c_int64 * array.ndim)(*array.shape)
    if name == "string":
        return _write_strings(array, shape)
    library, packed = tensorflow_library(), np.ascontiguousarray(array)
    tensor: int = library.TF_AllocateTensor(dtype_number(name), shape, array.ndim, packed.nbytes)
    ctypes.memmove(library.TF_TensorData(tensor), packed.ctypes.data, packed.nbytes)
    return tensor


def _write_strings(array: np.ndarray, shape: ctypes.Array[c_int64]) -> int:
    library, size = tensorflow_library(), array.size * STRING_SIZE
    # Zeros, like after `TF_StringInit`.
    elements = ctypes.create_string_buffer(max(size, 1))
    start, copy = ctypes.addressof(elements), library.TF_StringCopy
    for place, value in zip(range(start, start + size, STRING_SIZE), array.reshape(-1).tolist(), strict=True):
        copy(place, value, len(value))
    # TensorFlow may keep the tensor beyond the request; it calls `_release_strings` when it is done.
    key = next(_next_key)
    _buffers[key] = elements
    tensor: int = library.TF_NewTensor(
        dtype_number("string"), shape, len(shape), start, size, _release_strings, c_void_p(key)
    )
    return tensor


@Deallocator
def _release_strings(data: int, size: int, key: int) -> None:
    for offset in range(0, size, STRING_SIZE):
        tensorflow_library().TF_StringDealloc(data + offset)
    _buffers.pop(key)


def read_tensor(tensor: int) -> np.ndarray:
    """Copy a `TF_Tensor` into an array of its dtype and shape.

    Args:
        tensor: The tensor; the caller still owns it.

    Returns:
        The array; strings as an object array of bytes.

    Raises:
        StatusError: NumPy does not support the dtype.
    """
    library = tensorflow_library()
    name = dtype_name(library.TF_TensorType(tensor))
    dtype = None if name is None or name in _PACKED else numpy_dtype(name)
    if name is None or dtype is None:
        raise StatusError("UNIMPLEMENTED", f"an answer cannot carry values of dtype {name}")
    shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
    if 0 in shape and math.prod(max(length, 1) for length in shape) > _MOST_EMPTY:
        raise StatusError(
            "RESOURCE_EXHAUSTED", f"an answer cannot carry the shape {shape}, whose rows have no values"
        )
    size, data = library.TF_TensorByteSize(tensor), library.TF_TensorData(tensor)
    if has_fixed_size(name):
        return np.frombuffer(ctypes.string_at(data, size) if size else b"", dtype).reshape(shape)
    pointer, length, read = library.TF_StringGetDataPointer, library.TF_StringGetSize, ctypes.string_at
    values = np.empty(size // STRING_SIZE, dtype=object)
    values[:] = [read(pointer(place), length(place)) for place in range(data, data + size, STRING_SIZE)]
    return values.reshape(shape)


def checksum_tensor(tensor: int) -> str:
    """The CRC-32C of a `TF_Tensor`'s values in hexadecimal, computed without copying the tensor.

    Raises:
        StatusError: NumPy does not support the dtype.
    """
    library = tensorflow_library()
    size, data = library.TF_TensorByteSize(tensor), library.TF_TensorData(tensor)
    if library.TF_TensorType(tensor) == dtype_number("string"):
        values = read_tensor(tensor).reshape(-1)
        chunks: Iterable[bytes] = [b"%d:%s" % (len(value), value) for value in values]
    else:
        starts = range(0, size, _CHUNK)
        chunks = (ctypes.string_at(data + start, min(_CHUNK, size - start)) for start in starts)
    checksum = 0
    for chunk in chunks:
        checksum = google_crc32c.extend(checksum, chunk)
    return f"{checksum:08x}"


@contextmanager
def written_tensors(arrays: Iterable[np.ndarray]) -> Iterator[Sequence[int]]:
    """Arrays as tensors within a `with` block, which then deletes them.

    Raises:
        StatusError: Requests do not support a dtype.
    """
    tensors: list[int] = []
    try:
        tensors.extend(write_tensor(array) for array in arrays)
        yield tensors
    finally:
        for tensor in tensors:
            tensorflow_library().TF_DeleteTensor(tensor)


@contextmanager
def fetched_tensors(
    session: int,
    feeds: Sequence[Endpoint],
    inputs: Sequence[int],
    fetches: Sequence[Endpoint],
    targets: Sequence[int] = (),
) -> Iterator[Sequence[int]]:
    """Run a session; its outputs are tensors within a `with` block, which then deletes them.

    Args:
        session: A `TF_Session`.
        feeds: The endpoints to feed.
        inputs: The tensors to feed, in the same order.
        fetches: The endpoints to return.
        targets: Operations to run in addition.

    Raises:
        StatusError: The model refuses the values.
    """
    library, answers = tensorflow_library(), (c_void_p * len(fetches))()
    with Status() as status:
        library.TF_SessionRun(
            session,
            None,
            (Endpoint * len(feeds))(*feeds),
            (c_void_p * len(inputs))(*inputs),
            len(feeds),
            (Endpoint * len(fetches))(*fetches),
            answers,
            len(fetches),
            (c_void_p * len(targets))(*targets),
            len(targets),
            None,
            status.pointer,
        )
    try:
        yield [tensor for tensor in answers if tensor is not None]
    finally:
        for tensor in answers:
            library.TF_DeleteTensor(tensor)
