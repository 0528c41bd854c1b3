"""Open a TensorBundle, the files that hold the values of a TensorFlow checkpoint.

`PREFIX.index` lists the tensors and where their bytes are;
`PREFIX.data-00000-of-00003` and so on hold them. Reading needs no TensorFlow,
and no more memory than one tensor (to verify: one chunk).

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/tensor_bundle/tensor_bundle.h
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from redraw.checkpoint.bundle.entries import TensorEntry, TensorSlice, read_entries
from redraw.checkpoint.bundle.prefix import bundle_file, find_bundle_prefix, shard_name
from redraw.checkpoint.bundle.shard_reader import LocalShard, OpenShards, Piece
from redraw.checkpoint.bundle.tensors import BundleTensors
from redraw.errors import CheckpointNotFound

__all__ = ["TensorBundle", "TensorEntry", "TensorSlice", "find_bundle_prefix"]


class TensorBundle(BundleTensors):
    """The tensors of one checkpoint; opening it reads and checks only the index.

    Attributes:
        prefix: The common beginning of its files' paths.
        index_path: Its index file.
        num_shards: How many data files it has.
        shard_paths: Their paths, in order; they are opened when a tensor is read.
        entries: Its tensors by key, in the index's order.
    """

    readers = os.cpu_count() or 1

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
                f"checkpoint {prefix}: expected {self.index_path}, found no such file. Name the prefix of a"
                " checkpoint, without '.index' or '.data-…'."
            )
        self.name, self.index_name = str(prefix), str(self.index_path)
        self.num_shards, entries = read_entries(self.index_path)
        self.entries: Mapping[str, TensorEntry] = MappingProxyType(entries)

    @property
    def shard_paths(self) -> tuple[Path, ...]:
        """The data files, whether they exist or not."""
        return tuple(self._shard_path(number) for number in range(self.num_shards))

    def expect(self, pieces: Iterable[Piece]) -> None:
        """Do nothing: the operating system reads ahead by itself."""

    def _open(self) -> OpenShards[LocalShard]:
        return OpenShards(self.index_path, self._shard_path, lambda n: LocalShard(self._shard_path(n)))

    def _shard_path(self, number: int) -> Path:
        return bundle_file(self.prefix, shard_name(number, self.num_shards))
