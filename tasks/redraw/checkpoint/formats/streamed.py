"""The base of sources that read tensors one by one, as values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from redraw.checkpoint.bundle.checksum import checksum_for
from redraw.checkpoint.bundle.dtypes import name_of_array, numpy_dtype
from redraw.checkpoint.bundle.entries import TensorEntry, digest_entries
from redraw.checkpoint.bundle.stored_form import store_array
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.objects.trackable import ObjectGraph
from redraw.errors import CheckpointMismatch


class StreamedSource(ABC):
    """A checkpoint whose tensors are read in slabs.

    Attributes:
        uri: Its file, or the prefix of its files.
        format: A format that `redraw.checkpoint.formats` lists.
        files: Its files.
        entries: Its tensors by key, without offsets.
        graph: Its object graph, or an equivalent one; None if there are only names.
    """

    uri: str
    format: str
    files: tuple[FoundFile, ...]
    entries: Mapping[str, TensorEntry]
    graph: ObjectGraph | None = None

    @abstractmethod
    def slabs(self, key: str) -> Iterator[np.ndarray]:
        """A tensor's value in parts of consecutive elements.

        Raises:
            KeyError: There is no such tensor.
            CheckpointCorrupt: It cannot be read.
        """

    def verify(self) -> None:
        """Read every tensor; the format's reader compares the checksums that the format has."""
        for key in self.entries:
            for _ in self.slabs(key):
                pass

    def digest(self) -> str:
        """SHA-256 over each tensor's key, dtype, shape and content, in hex."""
        return digest_entries({key: self._with_checksum(entry) for key, entry in self.entries.items()})

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value; strings as an array of `bytes` objects."""
        entry = self.entries[key]
        array = np.empty(entry.shape, numpy_dtype(entry.dtype))
        flat, start = array.reshape(-1), 0
        for slab in self.slabs(key):
            flat[start : start + slab.size] = slab.reshape(-1)
            start += slab.size
        return array

    def expect(self, keys: Iterable[str]) -> None:  # noqa: B027 - a format may override it
        """Do nothing: the format's reader seeks in the file by itself."""

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Write a tensor slab by slab; a tensor of strings is in memory as a whole."""
        entry = self.entries[key]
        if entry.dtype == "string":
            writer.add_array(to_key, self.read_array(key))
            return
        writer.add_bytes(to_key, entry.dtype, entry.shape, self._chunks(entry), None)

    def _chunks(self, entry: TensorEntry) -> Iterator[bytes]:
        for slab in self.slabs(entry.key):
            yield from store_array(slab, entry.dtype)

    def _with_checksum(self, entry: TensorEntry) -> TensorEntry:
        checksum = checksum_for(entry.dtype, entry.shape, 1 << 62)
        if entry.dtype == "string":
            for chunk in store_array(self.read_array(entry.key), entry.dtype):
                checksum.update(chunk)
        else:
            for chunk in self._chunks(entry):
                checksum.update(chunk)
        return replace(entry, crc32c=checksum.finish())


def entry_of(key: str, dtype: np.dtype | str, shape: tuple[int, ...], uri: str) -> TensorEntry:
    """The entry of a tensor without an offset.

    Raises:
        CheckpointMismatch: TensorFlow has no such dtype.
    """
    name = dtype if isinstance(dtype, str) else name_of_array(np.empty(0, dtype))
    if name is None:
        raise CheckpointMismatch(
            f"tensor {key!r}: expected a TensorFlow dtype, got {dtype}, in {uri}. Choose a checkpoint that"
            " holds only model weights."
        )
    storage = numpy_dtype(name)
    width = 0 if storage is None or name == "string" else storage.itemsize
    size = int(np.prod(shape, dtype=np.int64)) * width
    return TensorEntry(key=key, dtype=name, shape=shape, shard=0, offset=0, size=size, crc32c=0)
