"""Open a TensorBundle: the files in which TensorFlow keeps the values of a checkpoint.

`PREFIX.index` says what tensors there are and where their bytes lie;
`PREFIX.data-00000-of-00003` and so on hold them. The reading needs no TensorFlow,
and no more memory than one tensor (to verify: one chunk).

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/tensor_bundle/tensor_bundle.h
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tasks.checkpoint.dtypes import numpy_dtype
from tasks.checkpoint.entries import TensorEntry, TensorSlice, digest_entries, read_entries
from tasks.checkpoint.prefix import bundle_file, find_bundle_prefix, shard_name
from tasks.checkpoint.shard_reader import OpenShards, Piece
from tasks.errors import CheckpointMismatch, CheckpointNotFound

__all__ = ["TensorBundle", "TensorEntry", "TensorSlice", "find_bundle_prefix"]

_MOST_NUMPY_DIMENSIONS = 64


class TensorBundle:
    """The tensors of one checkpoint; opening it reads and checks the index alone.

    Attributes:
        prefix: What was opened.
        index_path: Its index file.
        num_shards: How many data files it has.
        shard_paths: Their paths, in order; they are opened when a tensor is read.
        entries: Its tensors by key, in the index's order.
    """

    def __init__(self, prefix: Path) -> None:
        """Read the index.

        Args:
            prefix: The common beginning of its files' paths, or for files that are
                called `.index` and `.data-…` their folder (`find_bundle_prefix`).

        Raises:
            CheckpointNotFound: There is no index.
            CheckpointCorrupt: The index is damaged.
        """
        self.prefix = prefix
        self.index_path = bundle_file(prefix, ".index")
        if not self.index_path.is_file():
            raise CheckpointNotFound(
                f"checkpoint {prefix}: expected {self.index_path}, found no such file."
                " Give the prefix of a checkpoint, without '.index' or '.data-…'."
            )
        self.num_shards, entries = read_entries(self.index_path)
        self.entries: Mapping[str, TensorEntry] = MappingProxyType(entries)

    @property
    def shard_paths(self) -> tuple[Path, ...]:
        """The data files, whether they exist or not."""
        return tuple(self._shard_path(number) for number in range(self.num_shards))

    @property
    def tensor_bytes(self) -> int:
        """What `verify` reads: the bytes of all tensors."""
        return sum(entry.size for entry in self.entries.values())

    def digest(self) -> str:
        """SHA-256 in hex over each tensor's key, dtype, shape, slices, size and checksum.

        It is the same for the same tensors under other file names, or in more or fewer
        files. It speaks of the index: that the data agree with it is for `verify` to say.
        """
        return digest_entries(self.entries)

    def verify(self, progress: Callable[[int], None] | None = None) -> None:
        """Read every tensor and compare its checksum.

        Args:
            progress: Called with the bytes read since the last call.

        Raises:
            CheckpointCorrupt: A data file is missing or truncated, or a tensor differs
                from its checksum; the message names both.
        """
        with self._open() as shards:
            for number in range(self.num_shards):
                shards.descriptor(number, "checkpoint")
            ranges = (piece for entry in self.entries.values() for piece in _pieces(entry))
            for entry, piece in sorted(ranges, key=lambda pair: (pair[1].shard, pair[1].offset)):
                for chunk in shards.read(entry, piece):
                    if progress is not None:
                        progress(len(chunk))

    def read_bytes(self, key: str) -> bytes:
        """A tensor's bytes as they are stored, checked; slices are put together.

        Raises:
            KeyError: There is no such tensor.
            CheckpointCorrupt: Its data are missing, truncated or altered.
            CheckpointMismatch: It is partitioned, and not of numbers.
        """
        entry = self.entries[key]
        if not entry.slices:
            return b"".join(self.chunks(entry))
        if entry.dtype == "string":
            raise CheckpointMismatch(f"{self._name(entry)}: expected one piece, got slices of strings."
                                     " Read it with read_array.")  # fmt: skip
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
        dtype = numpy_dtype(entry.dtype)
        if dtype is None or len(entry.shape) > _MOST_NUMPY_DIMENSIONS:
            raise CheckpointMismatch(
                f"{self._name(entry)}: expected a tensor that NumPy can hold, got"
                f" {entry.dtype} of rank {len(entry.shape)}. Leave it out."
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

    def chunks(self, entry: TensorEntry, part: TensorSlice | None = None) -> Iterator[bytes]:
        """A tensor's stored bytes, a chunk at a time; the last one comes before the verdict.

        Args:
            entry: One of `entries`.
            part: Which of its slices, where it has some.

        Yields:
            At most 512 KiB at a time.

        Raises:
            CheckpointCorrupt: Its data are missing, truncated or altered.
        """
        with self._open() as shards:
            yield from shards.read(entry, part or entry)

    def open_range(self, entry: TensorEntry, piece: TensorEntry | TensorSlice) -> int:
        """A file descriptor, for the caller to close, of the data file that holds a range.

        Raises:
            CheckpointCorrupt: The file is missing, or ends before the range does.
        """
        with self._open() as shards:
            return os.dup(shards.locate(entry, piece))

    def _open(self) -> OpenShards:
        return OpenShards(self.index_path, self._shard_path)

    def _shard_path(self, number: int) -> Path:
        return bundle_file(self.prefix, shard_name(number, self.num_shards))

    def _name(self, entry: TensorEntry) -> str:
        return f"tensor {entry.key!r} of checkpoint {self.prefix}"


def _pieces(entry: TensorEntry) -> Iterator[tuple[TensorEntry, Piece]]:
    yield from ((entry, part) for part in entry.slices or (entry,))
