"""Open a checkpoint of any format, local or in a bucket, behind one interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.locate import Located, locate_checkpoint
from redraw.checkpoint.objects.trackable import ObjectGraph
from redraw.storage.files import demand_regular
from redraw.uri import Uri


class CheckpointSource(Protocol):
    """One checkpoint: its tensors are listed, their values are read on demand."""

    @property
    def uri(self) -> str:
        """Its file, or the prefix of its files."""
        ...

    @property
    def format(self) -> str:
        """A format that `redraw.checkpoint.formats` lists."""
        ...

    @property
    def files(self) -> tuple[FoundFile, ...]:
        """Its files at the time of their listing."""
        ...

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """Its tensors by key; offsets are known only for a TensorBundle."""
        ...

    @property
    def graph(self) -> ObjectGraph | None:
        """Its object graph, or an equivalent one; None if variables are known only by name."""
        ...

    def verify(self) -> None:
        """Read every tensor and compare the checksums that the format has.

        Raises:
            CheckpointCorrupt: Something is missing, truncated or altered.
        """
        ...

    def digest(self) -> str:
        """SHA-256 in hex over the tensors; for a TensorBundle the index is enough."""
        ...

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value, checked; strings as an array of `bytes` objects.

        Raises:
            KeyError: There is no such tensor.
            CheckpointCorrupt: It is missing, truncated or altered.
        """
        ...

    def expect(self, keys: Iterable[str]) -> None:
        """Announce the tensors that are moved next, in their order, so that a bucket is read ahead.

        Raises:
            KeyError: There is no such tensor.
        """
        ...

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Check a tensor and write it into a TensorBundle, with at most that tensor in memory.

        Args:
            key: The tensor.
            writer: The writer of the TensorBundle.
            to_key: Its key there.

        Raises:
            KeyError: There is no such tensor.
            CheckpointCorrupt: It is missing, truncated or altered.
            DiskFull: There is no room for it.
        """
        ...


def open_checkpoint(uri: str | Path, step: int | None = None) -> CheckpointSource:
    """Open a checkpoint; its format is recognized by its files.

    Args:
        uri: A file, a prefix, an Estimator's folder (whose `checkpoint` file may have paths of
            another machine), a SavedModel, or a folder with one checkpoint; local or `gs://`.
        step: Which checkpoint of a folder with several.

    Returns:
        The checkpoint; no values are read yet.

    Raises:
        CheckpointNotFound: No checkpoint, or no single one, matches.
        CheckpointCorrupt: The list of its tensors is damaged.
        CheckpointMismatch: It has another format.
        InvalidName: One of its files is a link, a pipe, a socket or a device.
        StorageError: The bucket cannot be read.
    """
    return open_located(locate_checkpoint(Uri(uri), step))


def open_located(located: Located) -> CheckpointSource:
    """Open a checkpoint that was located already.

    Raises:
        CheckpointError: It is damaged, or has another format.
        InvalidName: One of its files is a link, a pipe, a socket or a device.
        StorageError: The bucket cannot be read.
    """
    if located.folder.local is not None:
        for file in located.files:
            demand_regular(located.folder.local / file.name)
    # The other formats do not wait for the libraries that one imports.
    if located.kind == "bundle":
        from redraw.checkpoint.formats.bundle import BundleSource

        return BundleSource(located)
    if located.kind == "sharded":
        from redraw.checkpoint.formats.hdf5 import ShardedSource

        return ShardedSource(located)
    if located.kind == "hdf5":
        from redraw.checkpoint.formats.hdf5 import Hdf5Source

        return Hdf5Source(located)
    if located.kind == "archive":
        from redraw.checkpoint.formats.archive import ArchiveSource

        return ArchiveSource(located)
    from redraw.checkpoint.formats.saver_v1 import SaverV1Source

    return SaverV1Source(located)
