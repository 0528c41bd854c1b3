"""Write a TensorBundle, from arrays or from the byte ranges of another one.

The same calls give the same bytes, and the index has the bytes that TensorFlow's own
writer gives. It is written last: data files without an index are not a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from redraw.checkpoint.bundle.checksum import TensorChecksum, finish_checksum
from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import TensorEntry, check_size, encode_text
from redraw.checkpoint.bundle.finite import ScanningChecksum, scanning_checksum_for
from redraw.checkpoint.bundle.messages import BundleHeaderProto
from redraw.checkpoint.bundle.prefix import bundle_file
from redraw.checkpoint.bundle.shard_files import ShardFiles, sync_folder
from redraw.checkpoint.bundle.shard_reader import Piece
from redraw.checkpoint.bundle.stored_form import (
    append_slice,
    check_slices,
    dtype_to_store,
    new_entry,
    slice_key,
    store_array,
)
from redraw.checkpoint.bundle.table_writer import encode_table
from redraw.checkpoint.bundle.tensors import BundleTensors
from redraw.errors import CheckpointMismatch, OutputExists
from redraw.storage.files import Checksums, write_atomically, writing_to

_SHARD_BYTES = 128 * 1024 * 1024
_LARGEST_STRING = 1 << 40


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The tensor, or the slice of one, that is written under one key of the index."""

    key: bytes
    name: str
    dtype: str
    shape: tuple[int, ...]


class BundleWriter:
    """Write a checkpoint's files, one tensor after the other.

    A `with` block closes it, and removes its files after an error.

    Attributes:
        prefix: The common beginning of the files' paths.
        non_finite: Key to number of elements that are NaN or infinite, for the tensors
            that have some.
    """

    def __init__(
        self, prefix: Path, shard_bytes: int = _SHARD_BYTES, *, durable: bool = True, digested: bool = False
    ) -> None:
        """Prepare to write.

        Args:
            prefix: The common beginning of the files' paths; its folder is made.
            shard_bytes: Size above which the next data file begins. A tensor is never
                cut: a larger one has a file of its own.
            durable: Whether `close` waits until everything is on the disk. Files that are
                uploaded to a bucket do not need it.
            digested: Whether to take the data files' checksums while they are written.

        Raises:
            OutputExists: The checkpoint exists already.
        """
        self.prefix = prefix
        self._index = bundle_file(prefix, ".index")
        if self._index.exists():
            raise OutputExists(
                f"checkpoint {prefix}: {self._index} already exists. Choose another prefix, or remove the"
                " old checkpoint."
            )
        with writing_to(prefix):
            prefix.parent.mkdir(parents=True, exist_ok=True)
        self._durable = durable
        self._files = ShardFiles(prefix, shard_bytes, durable=durable, digested=digested)
        self._entries: dict[bytes, Any] = {}
        self.non_finite: dict[str, int] = {}

    @property
    def digests(self) -> Mapping[Path, Checksums]:
        """After `close`, path to checksums of the digested data files."""
        return self._files.digests

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        if err is not None:
            self.discard()
            return
        try:
            self.close()
        except BaseException:
            self.discard()
            raise

    def add_array(self, key: str, array: np.ndarray | np.generic) -> None:
        """Add a tensor from memory.

        Args:
            key: Its name in the checkpoint.
            array: Its value, of any shape; strings as `bytes` or `str` objects.

        Raises:
            ValueError: The key is taken.
            CheckpointMismatch: TensorFlow has no such dtype.
            DiskFull: There is no room for it.
        """
        dtype = dtype_to_store(key, array)
        place = _Place(key=encode_text(key), name=key, dtype=dtype, shape=array.shape)
        self._add(place, store_array(array, dtype))

    def add_slice(self, key: str, shape: Sequence[int], starts: Sequence[int], array: np.ndarray) -> None:
        """Add one part of a partitioned tensor; the parts have to cover the whole tensor.

        Args:
            key: The whole tensor's name in the checkpoint.
            shape: The whole tensor's dimensions.
            starts: The part's first element in each dimension.
            array: The part's value.

        Raises:
            ValueError: The part is there already.
            CheckpointMismatch: TensorFlow has no such dtype, or an earlier part had
                another dtype or whole shape.
            DiskFull: There is no room for it.
        """
        if tuple(shape) == array.shape:
            self.add_array(key, array)
            return
        dtype = dtype_to_store(key, array)
        lengths = [-1 if length == size else length for length, size in zip(array.shape, shape, strict=True)]
        tensor = self._partitioned_entry(key, dtype, tuple(shape))
        place = _Place(key=slice_key(key, starts, lengths), name=key, dtype=dtype, shape=array.shape)
        self._add(place, store_array(array, dtype))
        append_slice(tensor, starts, lengths)

    def add_bytes(
        self, key: str, dtype: str, shape: Sequence[int], chunks: Iterable[bytes], crc32c: int | None
    ) -> None:
        """Add a tensor from its stored bytes.

        Args:
            key: Its name in the checkpoint.
            dtype: TensorFlow's name of it.
            shape: Its dimensions.
            chunks: Its stored bytes, for example from `TensorBundle.chunks`.
            crc32c: Its masked checksum; None if it is unknown.

        Raises:
            ValueError: The key is taken.
            CheckpointCorrupt: The bytes do not match the checksum, or the dtype and the
                shape.
            DiskFull: There is no room for it.
        """
        self._add(_Place(key=encode_text(key), name=key, dtype=dtype, shape=tuple(shape)), chunks, crc32c)

    def copy(self, entry: TensorEntry, source: BundleTensors, key: str | None = None) -> None:
        """Add a tensor of another checkpoint: its bytes are copied, a chunk at a time.

        Args:
            entry: The tensor, one of `source.entries`.
            source: The other checkpoint.
            key: Its name in this checkpoint; its own by default.

        Raises:
            ValueError: The key is taken.
            CheckpointCorrupt: Its data are missing or truncated, or differ from its checksum.
            DiskFull: There is no room for it.
        """
        name = entry.key if key is None else key
        if not entry.slices:
            self._copy(encode_text(name), name, source, entry, entry)
            return
        tensor = self._partitioned_entry(name, entry.dtype, entry.shape)
        for part in entry.slices:
            self._copy(slice_key(name, part.starts, part.lengths), name, source, entry, part)
            append_slice(tensor, part.starts, part.lengths)

    def close(self) -> None:
        """Name the data files, then write the index.

        Raises:
            CheckpointMismatch: The slices of a tensor do not cover it.
            DiskFull: There is no room for the index.
        """
        for key, entry in self._entries.items():
            if entry.slices:
                check_slices(key, entry)
        header = BundleHeaderProto(num_shards=self._files.finish())
        header.version.producer = 1
        items = [(b"", header), *sorted(self._entries.items())]
        table = encode_table((key, entry.SerializeToString(deterministic=True)) for key, entry in items)
        write_atomically(self._index, table)
        if self._durable:
            sync_folder(self._index.parent)

    def discard(self) -> None:
        """Remove the data that was written."""
        self._files.discard()

    def _add(self, place: _Place, chunks: Iterable[bytes], crc32c: int | None = None) -> None:
        storage = numpy_dtype(place.dtype)
        width = 0 if storage is None or place.dtype == "string" else storage.itemsize
        checksum = scanning_checksum_for(place.dtype, place.shape, _LARGEST_STRING)
        self._write(place, math.prod(place.shape) * width, _checksummed(chunks, checksum), checksum, crc32c)

    def _copy(self, key: bytes, name: str, source: BundleTensors, entry: TensorEntry, piece: Piece) -> None:
        place = _Place(key=key, name=name, dtype=entry.dtype, shape=piece.shape)
        checksum = scanning_checksum_for(entry.dtype, piece.shape, piece.size)
        self._write(place, piece.size, source.chunks(entry, piece, checksum), checksum, piece.crc32c)

    def _write(
        self,
        place: _Place,
        size: int,
        chunks: Iterable[bytes],
        checksum: TensorChecksum,
        crc32c: int | None,
    ) -> None:
        """Write chunks of about `size` bytes that also updated the checksum."""
        if place.key in self._entries or not place.key:
            raise ValueError(f"expected a non-empty key that was not written before, got {place.key!r}")
        try:
            with self._files.tensor(size):
                start = self._files.position
                for chunk in chunks:
                    self._files.write(chunk)
                check_size(place.dtype, place.shape, self._files.position - start)
                actual = finish_checksum(checksum, crc32c)
        except MalformedError as err:
            raise err.found_in(self.prefix, f"tensor {place.key!r}") from err
        self._record(place, start, actual)
        if isinstance(checksum, ScanningChecksum) and checksum.scan.count:
            self.non_finite[place.name] = self.non_finite.get(place.name, 0) + checksum.scan.count

    def _record(self, place: _Place, start: int, crc32c: int) -> None:
        entry = new_entry(place.dtype, place.shape)
        size = self._files.position - start
        for name, value in (("shard_id", self._files.number), ("offset", start), ("size", size)):
            if value:  # TensorFlow's writer leaves zeros out
                setattr(entry, name, value)
        entry.crc32c = crc32c
        self._entries[place.key] = entry

    def _partitioned_entry(self, key: str, dtype: str, shape: tuple[int, ...]) -> Any:
        entry = new_entry(dtype, shape)
        stored = self._entries.setdefault(encode_text(key), entry)
        if (
            stored.dtype != entry.dtype
            or stored.shape != entry.shape
            or (stored is not entry and not stored.slices)
        ):
            raise CheckpointMismatch(
                f"tensor {key!r}: expected all slices to name the same whole tensor, got a slice of {dtype}"
                f" {list(shape)}. Use another key for another tensor."
            )
        return stored


def _checksummed(chunks: Iterable[bytes], checksum: TensorChecksum) -> Iterator[bytes]:
    for chunk in chunks:
        checksum.update(chunk)
        yield chunk
