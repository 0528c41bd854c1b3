"""A local TensorBundle as a checkpoint to export from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tasks.checkpoint.bundle_reader import TensorBundle
from tasks.checkpoint.bundle_writer import BundleWriter
from tasks.checkpoint.entries import TensorEntry
from tasks.checkpoint.object_graph import ObjectGraph, read_object_graph

__all__ = ["BundleSource"]


class BundleSource:
    """A TensorBundle on this machine.

    Attributes:
        uri: Its prefix.
        format: `tensor_bundle`.
        entries: Its tensors by key.
        graph: Its object graph; None where variables are known by name alone.
    """

    format = "tensor_bundle"

    def __init__(self, prefix: Path) -> None:
        """Read the index and the object graph.

        Args:
            prefix: The common beginning of its files' paths.

        Raises:
            CheckpointNotFound: There is no index.
            CheckpointCorrupt: The index or the graph is damaged.
        """
        self._bundle = TensorBundle(prefix)
        self.uri = str(prefix)
        self.entries: Mapping[str, TensorEntry] = self._bundle.entries
        self.graph: ObjectGraph | None = read_object_graph(self._bundle)

    def verify(self) -> None:
        """Hold every tensor to its checksum."""
        self._bundle.verify()

    def digest(self) -> str:
        """SHA-256 in hex over what the tensors are."""
        return self._bundle.digest()

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value, checked."""
        return self._bundle.read_array(key)

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Copy a tensor's byte ranges, checked on the way; a partitioned one is put together."""
        entry = self.entries[key]
        if entry.slices:
            writer.add_array(to_key, self._bundle.read_array(key))
        else:
            writer.copy(entry, self._bundle, to_key)
