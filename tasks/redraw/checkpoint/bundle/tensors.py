"""Verify and read the tensors of a TensorBundle, local or in a bucket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from redraw.checkpoint.bundle.checksum import TensorChecksum
from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.entries import TensorEntry, digest_entries
from redraw.checkpoint.bundle.shard_reader import OpenShards, Piece
from redraw.errors import CheckpointMismatch

_MOST_NUMPY_DIMENSIONS = 64
# What one thread verifies at a time: large compared with a task's cost, small compared with a checkpoint.
_GROUP_BYTES = 64 * 1024 * 1024

_Range = tuple[TensorEntry, Piece]


class BundleTensors(ABC):
    """The tensors of one checkpoint.

    Attributes:
        name: The checkpoint's name in messages.
        index_name: Its index's name in messages.
        num_shards: How many data files it has.
        entries: Its tensors by key, in the index's order.
        readers: How many threads `verify` reads with; from a bucket one thread reads, and the
            next parts are fetched ahead of it.
    """

    name: str
    index_name: str
    num_shards: int
    entries: Mapping[str, TensorEntry]
    readers: int = 1

    @property
    def tensor_bytes(self) -> int:
        """The bytes of all tensors, which `verify` reads."""
        return sum(entry.size for entry in self.entries.values())

    def digest(self) -> str:
        """SHA-256 in hex over each tensor's key, dtype, shape, slices, size and checksum.

        Neither the files' names nor their number change it. It covers the index; `verify`
        checks that the data match the index.
        """
        return digest_entries(self.entries)

    def verify(self, progress: Callable[[int], None] | None = None) -> None:
        """Read every tensor and compare its checksum.

        Args:
            progress: Called with the bytes read since the last call, by each of the `readers`.

        Raises:
            CheckpointCorrupt: A data file is missing or truncated, or a tensor differs
                from its checksum; the message names both, of several the first in the files.
        """
        ranges = [(entry, piece) for entry in self.entries.values() for piece in entry.pieces]
        ranges.sort(key=lambda pair: (pair[1].shard, pair[1].offset))
        with self._open() as shards, ThreadPoolExecutor(self.readers) as pool:
            for number in range(self.num_shards):
                shards.file(number, "checkpoint")
            self.expect(piece for _, piece in ranges)
            groups = _group_ranges(ranges)
            verdicts = [pool.submit(_verify_ranges, shards, group, progress) for group in groups]
            try:
                for verdict in verdicts:
                    verdict.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def read_bytes(self, key: str) -> bytes:
        """A tensor's stored bytes, checked; slices are joined.

        Raises:
            KeyError: There is no such tensor.
            CheckpointCorrupt: Its data are missing, truncated or altered.
            CheckpointMismatch: It is partitioned, and not of numbers.
        """
        entry = self.entries[key]
        if not entry.slices:
            return b"".join(self.chunks(entry))
        if entry.dtype == "string":
            raise CheckpointMismatch(
                f"{self._name(entry)}: expected an unpartitioned tensor, got string slices. Read the tensor"
                " with read_array."
            )
        return self.read_array(key).tobytes()

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value, checked; strings as an array of `bytes` objects.

        Raises:
            KeyError: There is no such tensor.
            CheckpointCorrupt: Its data are missing, truncated or altered.
            CheckpointMismatch: NumPy cannot hold it: a resource, a variant, or more than
                64 dimensions.
        """
        entry = self.entries[key]
        entry.demand_whole(self.index_name)
        dtype = numpy_dtype(entry.dtype)
        if dtype is None or len(entry.shape) > _MOST_NUMPY_DIMENSIONS:
            raise CheckpointMismatch(
                f"{self._name(entry)}: expected a tensor that NumPy can hold, got {entry.dtype} of rank"
                f" {len(entry.shape)}. Do not read this tensor."
            )
        with self._open() as shards:
            if not entry.slices:
                return shards.assemble(entry, entry, dtype)
            shards.check_parts(entry)
            array = np.empty(entry.shape, dtype)
            for part in entry.slices:
                where = tuple(slice(a, a + n) for a, n in zip(part.starts, part.shape, strict=True))
                array[where] = shards.assemble(entry, part, dtype)
            return array

    def chunks(
        self, entry: TensorEntry, part: Piece | None = None, checksum: TensorChecksum | None = None
    ) -> Iterator[bytes]:
        """A tensor's stored bytes, a chunk at a time; the checksum is compared after the last one.

        Args:
            entry: One of `entries`.
            part: One of its slices, if it has some.
            checksum: Updated with each chunk before it is yielded; a new one by default.

        Yields:
            At most 1 MiB at a time, from a bucket 4 MiB.

        Raises:
            CheckpointCorrupt: Its data are missing, truncated or altered.
        """
        with self._open() as shards:
            yield from shards.read(entry, part or entry, checksum)

    @abstractmethod
    def expect(self, pieces: Iterable[Piece]) -> None:
        """Prepare for the ranges that will be read next, in their order."""

    @abstractmethod
    def _open(self) -> OpenShards[Any]:
        """Its data files, for a `with` block."""

    def _name(self, entry: TensorEntry) -> str:
        return f"tensor {entry.key!r} of checkpoint {self.name}"


def _group_ranges(ranges: Iterable[_Range]) -> Iterator[list[_Range]]:
    """Group consecutive ranges, some 64 MiB in each group."""
    group: list[_Range] = []
    size = 0
    for entry, piece in ranges:
        group.append((entry, piece))
        size += piece.size
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _verify_ranges(
    shards: OpenShards[Any], ranges: Iterable[_Range], progress: Callable[[int], None] | None
) -> None:
    for entry, piece in ranges:
        for chunk in shards.read(entry, piece):
            if progress is not None:
                progress(len(chunk))
