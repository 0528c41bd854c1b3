"""A TensorBundle as a source: its byte ranges are copied, from a bucket only those requested."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import LARGEST_INDEX, TensorEntry, read_entries
from redraw.checkpoint.bundle.prefix import find_bundle_prefix, shard_name
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.shard_reader import OpenShards, Piece
from redraw.checkpoint.bundle.tensors import BundleTensors
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.locate import Located
from redraw.checkpoint.objects.object_graph import read_object_graph
from redraw.checkpoint.objects.trackable import ObjectGraph

# Parts in flight are in memory: six parts of 4 MiB fill a link of 480 MB/s at 50 ms each.
LARGEST_PART = 4 * 1024 * 1024
_IN_FLIGHT = 6
# A file's name, an offset and a size.
FilePart = tuple[str, int, int]


class BundleSource:
    """A TensorBundle on this machine or in a bucket."""

    format = "tensor_bundle"

    def __init__(self, located: Located) -> None:
        """Read the index.

        Raises:
            CheckpointCorrupt: The index is damaged, or there are no data.
            StorageError: The bucket cannot be read.
        """
        self.uri = located.uri
        self.files = located.files
        self._name, self._folder = located.name, located.folder
        local = located.folder.local
        self.bundle: BundleTensors = RemoteBundle(located) if local is None else _open_local(located, local)
        self.entries = self.bundle.entries

    @property
    def file_names(self) -> tuple[str, ...]:
        """The names of its files, whether they exist or not."""
        count = self.bundle.num_shards
        return f"{self._name}.index", *(f"{self._name}{shard_name(n, count)}" for n in range(count))

    @cached_property
    def graph(self) -> ObjectGraph | None:
        """Its object graph; None if it knows variables only by name."""
        return read_object_graph(self.bundle)

    def neighbour(self, name: str, largest: int) -> bytes | None:
        """The content of another file in its folder; None if there is none, or if it is too large.

        Raises:
            StorageError: The bucket cannot be read.
        """
        file = self._folder.files.get(name)
        return None if file is None or file.size > largest else self._folder.read(file, 0, file.size)

    def neighbours(self, folder: str) -> list[str]:
        """The names of the files in a folder next to it, each with the folder's name."""
        return sorted(name for name in self._folder.files if name.startswith(f"{folder}/"))

    def verify(self) -> None:
        """Read every tensor and compare its checksum."""
        self.bundle.verify()

    def digest(self) -> str:
        """SHA-256 over each tensor's entry in the index, in hex."""
        return self.bundle.digest()

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value, checked."""
        return self.bundle.read_array(key)

    def expect(self, keys: Iterable[str]) -> None:
        """From a bucket, read ahead."""
        self.bundle.expect(piece for key in keys for piece in self.entries[key].pieces)

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Copy a tensor's byte range and check it."""
        writer.copy(self.entries[key], self.bundle, to_key)


def _open_local(located: Located, folder: Path) -> TensorBundle:
    prefix = folder / located.name if located.name else folder
    if any(".data-" in file.name for file in located.files):
        return TensorBundle(prefix)
    return TensorBundle(find_bundle_prefix(prefix))  # its error says what is missing


class RemoteBundle(BundleTensors):
    """A TensorBundle in a bucket: the index is read completely, of the data only what is requested."""

    def __init__(self, located: Located) -> None:
        """Read the index.

        Raises:
            CheckpointCorrupt: It is damaged.
            StorageError: The bucket cannot be read.
        """
        self.name = located.uri
        self._folder, self._prefix = located.folder, located.name
        self._ahead = ReadAhead(self._read)
        index = self._folder.files[f"{self._prefix}.index"]
        self.index_name = self._folder.uri_of(index.name)
        if index.size > LARGEST_INDEX:
            damage = MalformedError(f"an index of at most {LARGEST_INDEX} bytes", f"{index.size}")
            raise damage.found_in(self.index_name)
        with tempfile.NamedTemporaryFile() as file:
            for offset in range(0, index.size, LARGEST_PART):
                file.write(self._folder.read(index, offset, LARGEST_PART))
            file.flush()
            self.num_shards, entries = read_entries(Path(file.name), self.index_name)
        self.entries: Mapping[str, TensorEntry] = MappingProxyType(entries)

    def expect(self, pieces: Iterable[Piece]) -> None:
        """Read a few parts ahead of their use."""
        self._ahead = ReadAhead(self._read, (part for piece in pieces for part in self._parts(piece)))

    def _parts(self, piece: Piece) -> Iterable[FilePart]:
        name, end = self._shard_name(piece.shard), piece.offset + piece.size
        for offset in range(piece.offset, end, LARGEST_PART):
            yield name, offset, min(LARGEST_PART, end - offset)

    def _read(self, part: FilePart) -> bytes:
        name, offset, size = part
        return self._folder.read(self._folder.files[name], offset, size)

    def _open(self) -> OpenShards[RemoteShard]:
        return OpenShards(self.index_name, self._shard_uri, self._open_shard, LARGEST_PART)

    def _shard_uri(self, number: int) -> str:
        return self._folder.uri_of(self._shard_name(number))

    def _shard_name(self, number: int) -> str:
        return f"{self._prefix}{shard_name(number, self.num_shards)}"

    def _open_shard(self, number: int) -> RemoteShard:
        file = self._folder.files.get(self._shard_name(number))
        if file is None:
            raise FileNotFoundError(self._shard_uri(number))
        # A lambda, because `expect` may replace `_ahead` after the shard is opened.
        return RemoteShard(self._shard_uri(number), file, lambda part: self._ahead.read(part))


class RemoteShard:
    """A data file in a bucket."""

    def __init__(self, name: str, file: FoundFile, read: Callable[[FilePart], bytes]) -> None:
        """Keep the file, and the function that reads its parts."""
        self.name = name
        self.size = file.size
        self._file, self._read = file, read

    def read(self, offset: int, size: int) -> bytes:
        """Some of its bytes, in one request."""
        return self._read((self._file.name, offset, size))

    def close(self) -> None:
        """Do nothing: no file is open."""


class ReadAhead:
    """Reads parts before they are requested, a few at a time.

    A request to a bucket takes some 50 ms before its first byte arrives, however small it is.
    Reading tensors one after the other would wait that long for each.

    A part that is requested out of order is read at that moment.
    """

    def __init__(self, read: Callable[[FilePart], bytes], parts: Iterable[FilePart] = ()) -> None:
        """Begin to read.

        Args:
            read: Reads one part; several threads call it.
            parts: The expected parts in the order of their use; none larger than `LARGEST_PART`.
        """
        self._read = read
        self._parts = iter(parts)
        # Its threads end with the last part.
        self._pool = ThreadPoolExecutor(_IN_FLIGHT)
        self._in_flight: deque[tuple[FilePart, Future[bytes]]] = deque()
        self._fill()

    def read(self, requested: FilePart) -> bytes:
        """A part's bytes; raises the error that reading it raised."""
        if all(part != requested for part, _ in self._in_flight):
            return self._read(requested)
        while True:
            part, content = self._in_flight.popleft()
            if part == requested:
                self._fill()
                return content.result()
            content.cancel()

    def _fill(self) -> None:
        while len(self._in_flight) < _IN_FLIGHT:
            part = next(self._parts, None)
            if part is None:
                self._pool.shutdown(wait=False)
                return
            self._in_flight.append((part, self._pool.submit(self._read, part)))
