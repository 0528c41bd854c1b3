"""NumPy's arrays to TensorFlow's tensors and back through the C API, and a run of a session with them.

A string tensor is an array of `TF_TString`, each of which owns its bytes; any other is
the bytes of its elements in C order, and NumPy's and `ml_dtypes`' layouts are TensorFlow's.
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

# Their elements take less than a byte, which no request can carry.
_PACKED = {"int4", "uint4", "int2", "uint2", "float4_e2m1fn"}
_CHUNK = 1 << 22
# Lists without values take memory where they are shown, and cost a model nothing.
_MOST_EMPTY = 1 << 20
_held: dict[int, ctypes.Array[ctypes.c_char]] = {}
_next_key = itertools.count(1)


def write_tensor(array: np.ndarray) -> int:
    """Make a `TF_Tensor` of an array.

    Args:
        array: Of any dtype that a request can carry; strings as an object array of bytes.

    Returns:
        The tensor, to be given to `TF_DeleteTensor`.

    Raises:
        StatusError: No request can carry such values.
    """
    name = name_of_array(array)
    if name is None or name in _PACKED:
        raise StatusError("UNIMPLEMENTED", f"no request can carry values of dtype {array.dtype}")
    shape = (c_int64 * array.ndim)(*array.shape)
    if name == "string":
        return _write_strings(array, shape)
    library, packed = tensorflow_library(), np.ascontiguousarray(array)
    tensor: int = library.TF_AllocateTensor(dtype_number(name), shape, array.ndim, packed.nbytes)
    ctypes.memmove(library.TF_TensorData(tensor), packed.ctypes.data, packed.nbytes)
    return tensor


def _write_strings(array: np.ndarray, shape: ctypes.Array[c_int64]) -> int:
    library, size = tensorflow_library(), array.size * STRING_SIZE
    # Zeros, which is what `TF_StringInit` makes of an element.
    elements = ctypes.create_string_buffer(max(size, 1))
    start, copy = ctypes.addressof(elements), library.TF_StringCopy
    for place, value in zip(range(start, start + size, STRING_SIZE), array.reshape(-1).tolist(), strict=True):
        copy(place, value, len(value))
    # TensorFlow may keep the tensor beyond the request, and says when it lets go.
    key = next(_next_key)
    _held[key] = elements
    tensor: int = library.TF_NewTensor(
        dtype_number("string"), shape, len(shape), start, size, _release_strings, c_void_p(key)
    )
    return tensor


@Deallocator
def _release_strings(data: int, size: int, key: int) -> None:
    for offset in range(0, size, STRING_SIZE):
        tensorflow_library().TF_StringDealloc(data + offset)
    _held.pop(key)


def read_tensor(tensor: int) -> np.ndarray:
    """Copy a `TF_Tensor` into an array of its dtype and shape.

    Args:
        tensor: Which stays the caller's.

    Returns:
        The array; strings as an object array of bytes.

    Raises:
        StatusError: NumPy cannot hold such values.
    """
    library = tensorflow_library()
    name = dtype_name(library.TF_TensorType(tensor))
    dtype = None if name is None or name in _PACKED else numpy_dtype(name)
    if name is None or dtype is None:
        raise StatusError("UNIMPLEMENTED", f"no answer can carry values of dtype {name}")
    shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
    if 0 in shape and math.prod(max(length, 1) for length in shape) > _MOST_EMPTY:
        raise StatusError("RESOURCE_EXHAUSTED", f"no answer can carry shape {shape}: rows without values")
    size, data = library.TF_TensorByteSize(tensor), library.TF_TensorData(tensor)
    if has_fixed_size(name):
        return np.frombuffer(ctypes.string_at(data, size) if size else b"", dtype).reshape(shape)
    pointer, length, read = library.TF_StringGetDataPointer, library.TF_StringGetSize, ctypes.string_at
    values = np.empty(size // STRING_SIZE, dtype=object)
    values[:] = [read(pointer(place), length(place)) for place in range(data, data + size, STRING_SIZE)]
    return values.reshape(shape)


def checksum_tensor(tensor: int) -> str:
    """The CRC-32C of a `TF_Tensor`'s values, read where they lie, in hexadecimal.

    Raises:
        StatusError: NumPy cannot hold such values.
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
    """Arrays as tensors, for the length of a `with`.

    Raises:
        StatusError: No request can carry such values.
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
    given: Sequence[int],
    fetches: Sequence[Endpoint],
    targets: Sequence[int] = (),
) -> Iterator[Sequence[int]]:
    """What a session answers, as tensors, for the length of a `with`.

    Args:
        session: A `TF_Session`.
        feeds: Where values go in.
        given: The tensors that go in there, in the same order.
        fetches: Where answers come out.
        targets: Operations that run as well.

    Raises:
        StatusError: The model refuses the values.
    """
    library, answers = tensorflow_library(), (c_void_p * len(fetches))()
    with Status() as status:
        library.TF_SessionRun(
            session,
            None,
            (Endpoint * len(feeds))(*feeds),
            (c_void_p * len(given))(*given),
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
