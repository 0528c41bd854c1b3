"""Read an untrusted HDF5 file: accept only what Keras writes, within limits.

A file of a few kB can hold links that form a cycle, tensors of any declared size, and types that NumPy
stores as references. This module refuses each before a value is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.errors import CheckpointMismatch

# Deflate writes at most 1032 bytes from one.
_MOST_EXPANSION = 1100
_LARGEST_CHUNK = 256 << 20
_LONGEST_NAME = 4096
_LONGEST_LIST = 1 << 20
# HDF5's own filters, and h5py's LZF; HDF5 would load others from libraries that a file names.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
_SLAB = 4 << 20
# Strings are elsewhere in the file and of any length; this bounds the memory of one read.
_STRING_BYTES = 256 << 20
_MOST_STRINGS = 4096


def datasets(file: Any, uri: str) -> Iterator[tuple[str, Any]]:
    """Every dataset of a file by its path; each object may occur only once.

    Args:
        file: The open file.
        uri: Its name in messages.

    Raises:
        MalformedError: An object has two names, or more is declared than the file can hold.
        CheckpointMismatch: A link or a dataset points to another file or another name, which could be
            any file of this machine.
    """
    visited, pending = {_address(file)}, [("", file)]
    budget = _MOST_EXPANSION * file.id.get_filesize()
    while pending:
        path, group = pending.pop()
        for name in group:
            where = f"{path}{name}"
            if len(where) > _LONGEST_NAME:
                raise MalformedError(f"names of at most {_LONGEST_NAME} characters", f"{len(where)}")
            if type(group.get(name, getlink=True)) is not h5py.HardLink:
                raise _pointer_error(where, uri)
            item = group[name]
            if _address(item) in visited:
                raise MalformedError("exactly one name for each object", f"a second name, {where!r}")
            visited.add(_address(item))
            if isinstance(item, h5py.Group):
                pending.append((f"{where}/", item))
                continue
            budget -= _checked_bytes(item, where, uri)
            if budget < 0:
                raise MalformedError(
                    f"tensors of at most {_MOST_EXPANSION} times the file's size", f"more, from {where!r} on"
                )
            yield where, item


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _checked_bytes(dataset: Any, where: str, uri: str) -> int:
    """The bytes that a dataset declares, if the file can hold them."""
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise MalformedError("only groups and tensors", f"{where!r}, which is neither")
    if dataset.external or dataset.is_virtual:
        raise _pointer_error(where, uri)
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if not filters <= _FILTERS:
        raise MalformedError(
            f"{where!r} with the filters that HDF5 includes", f"filters {sorted(filters - _FILTERS)}"
        )
    declared: int = math.prod(dataset.shape) * dataset.dtype.itemsize
    room = dataset.id.get_storage_size() * (_MOST_EXPANSION if filters else 1)
    if declared > max(room, 0):
        raise MalformedError(f"{where!r} of at most {room} bytes, as the file stores", f"{declared}")
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise MalformedError(f"{where!r} in chunks of at most {_LARGEST_CHUNK} bytes", f"{chunk}")
    return declared


def _pointer_error(where: str, uri: str) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{where!r}: expected weights in the file itself, got a link to another file or name, in {uri}."
        " Save the weights again in one file, without links."
    )


def text_attribute(item: Any, name: str, default: str = "", most: int = _LONGEST_NAME) -> str:
    """A text attribute of a group or a dataset; the default if it has none."""
    value = _attribute(item, name, most)
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text[:most] if isinstance(text, str) else default


def text_list(item: Any, name: str) -> list[str]:
    """A list of texts in an attribute; empty if there is none, or one of another kind."""
    value = _attribute(item, name, _LONGEST_LIST)
    if not isinstance(value, np.ndarray) or value.ndim != 1:
        return []
    texts = (text.decode(errors="replace") if isinstance(text, bytes) else text for text in value.tolist())
    return [text for text in texts if isinstance(text, str)]


def _attribute(item: Any, name: str, most: int) -> Any:
    """An attribute's value, read only if it is small; None if there is none."""
    if name not in item.attrs:
        return None
    attribute = item.attrs.get_id(name)
    if math.prod(attribute.shape or ()) * attribute.get_type().get_size() > most:
        raise MalformedError(f"an attribute {name!r} of at most {most} bytes", "more")
    return item.attrs[name]


def dtype_of(dataset: Any, where: str, uri: str) -> np.dtype | str:
    """The dtype of a dataset's elements.

    Raises:
        CheckpointMismatch: TensorFlow has no such dtype.
    """
    dtype: np.dtype = dataset.dtype
    if h5py.check_string_dtype(dtype):
        return np.dtype(object)
    if text_attribute(dataset, "dtype") == "bfloat16" and dtype.itemsize == 2:  # noqa: PLR2004 - its bytes
        return "bfloat16"
    if dtype.hasobject or dtype.subdtype or dtype.names:
        raise CheckpointMismatch(
            f"tensor {where!r}: expected numbers or strings, got {dtype}, in {uri}. Choose a checkpoint"
            " that holds only model weights."
        )
    return dtype


def parts_of(dataset: Any) -> Iterator[np.ndarray]:
    """A dataset's elements in their order, some 4 MiB at a time."""
    if not dataset.size:
        return
    if not h5py.check_string_dtype(dataset.dtype):
        yield from (np.asarray(dataset[part]) for part in _ranges(dataset.shape, dataset, _SLAB))
        return
    size = dataset.file.id.get_filesize()
    # Several strings may share bytes in the file, so a few kB could declare any number of them.
    at_once = max(1, min(_MOST_STRINGS, _STRING_BYTES // max(size, 1))) * dataset.dtype.itemsize
    budget = size
    for part in _ranges(dataset.shape, dataset, at_once):
        strings = np.array(dataset[part], object)
        budget -= sum(map(len, strings.reshape(-1)))
        if budget < 0:
            raise MalformedError(f"strings of at most the file's {size} bytes", "more")
        yield strings


def _ranges(shape: tuple[int, ...], dataset: Any, most: int, outer: tuple[int, ...] = ()) -> Iterator[Any]:
    """Indexes of consecutive elements, each of about `most` bytes."""
    if not shape:
        yield outer
        return
    row = dataset.dtype.itemsize * math.prod(shape[1:])
    if len(shape) > 1 and row > most:
        for number in range(shape[0]):
            yield from _ranges(shape[1:], dataset, most, (*outer, number))
        return
    step = max(1, most // row)
    chunk = dataset.chunks[len(outer)] if dataset.chunks and dataset.dtype.kind != "O" else 1
    # A compressed chunk is decoded as a whole, so a range should end where a chunk does.
    step = max(step - step % chunk, chunk)
    for start in range(0, shape[0], step):
        yield (*outer, slice(start, min(start + step, shape[0])))
