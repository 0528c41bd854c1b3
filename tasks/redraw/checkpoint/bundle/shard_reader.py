"""Read the data files of a checkpoint, each tensor checked against its checksum."""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from redraw.checkpoint.bundle.checksum import StringChecksum, TensorChecksum, checksum_for, finish_checksum
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import TensorEntry, TensorSlice

# Large enough that the calls cost nothing, small enough to stay in the processor's cache between
# the read and the checksum, and for its memory to be reused.
_CHUNK_SIZE = 1024 * 1024

Piece = TensorEntry | TensorSlice


class ShardFile(Protocol):
    """One data file, on this machine or in a bucket.

    Attributes:
        name: Its path or URI, for messages.
        size: Its bytes.
    """

    name: str
    size: int

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes: fewer than `size` only at the end of the file."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class LocalShard:
    """A data file on this machine."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            FileNotFoundError: There is no such file.
            IsADirectoryError: The path is a folder, a pipe or a device.
        """
        self.name = os.fspath(path)
        # Not blocking: opening a pipe would wait for its writer.
        self.descriptor = os.open(path, os.O_NONBLOCK)
        status = os.fstat(self.descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise IsADirectoryError(errno.EISDIR, "not a regular file", self.name)

    def read(self, offset: int, size: int) -> bytes:
        """Some of its bytes."""
        return os.pread(self.descriptor, size, offset)

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)


ShardT = TypeVar("ShardT", bound=ShardFile)


class OpenShards(Generic[ShardT]):
    """The data files of a bundle, each opened once and all closed at the end."""

    def __init__(
        self,
        index_name: Path | str,
        shard_name: Callable[[int], Path | str],
        open_shard: Callable[[int], ShardT],
        chunk_size: int = _CHUNK_SIZE,
    ) -> None:
        """Prepare to read; a file is opened when a tensor in it is read."""
        self._index_name = index_name
        self._shard_name = shard_name
        self._open_shard = open_shard
        self._chunk_size = chunk_size
        self._files: dict[int, ShardT] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def file(self, number: int, what: str) -> ShardT:
        """A data file, opened."""
        if number not in self._files:
            try:
                file = self._open_shard(number)
            except (FileNotFoundError, IsADirectoryError) as err:
                raise MalformedError("a data file", "none").found_in(self._shard_name(number), what) from err
            self._stack.callback(file.close)
            self._files[number] = file
        return self._files[number]

    def locate(self, entry: TensorEntry, piece: Piece) -> ShardT:
        """The file that holds a range, after a check that the range is within it."""
        what = f"tensor {entry.key!r}"
        file = self.file(piece.shard, what)
        if piece.offset + piece.size > file.size:
            damage = MalformedError(
                f"{piece.size} bytes at offset {piece.offset}", f"a file of {file.size} bytes"
            )
            raise damage.found_in(self._shard_name(piece.shard), what)
        return file

    def read(
        self, entry: TensorEntry, piece: Piece, checksum: TensorChecksum | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes of a range in chunks, then check its checksum."""
        file = self.locate(entry, piece)
        checksum = checksum or checksum_for(entry.dtype, piece.shape, piece.size)
        position = 0
        try:
            while position < piece.size:
                size = min(self._chunk_size, piece.size - position)
                chunk = file.read(piece.offset + position, size)
                if not chunk:
                    raise MalformedError(f"{piece.size} bytes", f"the end of the file after {position} bytes")
                checksum.update(chunk)
                position += len(chunk)
                yield chunk
            finish_checksum(checksum, piece.crc32c)
        except MalformedError as err:
            raise err.found_in(self._shard_name(piece.shard), f"tensor {entry.key!r}") from err

    def check_parts(self, entry: TensorEntry) -> None:
        """Check that slices do not share bytes, so that the tensor is no larger than its files."""
        for part in entry.slices:
            self.locate(entry, part)
        ordered = sorted((part.shard, part.offset, part.size) for part in entry.slices if part.size)
        for (shard, offset, size), (next_shard, next_offset, _) in zip(ordered, ordered[1:], strict=False):
            if shard == next_shard and offset + size > next_offset:
                damage = MalformedError(
                    "slices that do not overlap in the data file",
                    f"two slices that share the bytes at offset {next_offset}",
                )
                raise damage.found_in(self._index_name, f"tensor {entry.key!r}")

    def assemble(self, entry: TensorEntry, piece: Piece, dtype: np.dtype) -> np.ndarray:
        """Read and check the value of a tensor in one piece, or of one slice."""
        self.locate(entry, piece)
        data, position = bytearray(piece.size), 0
        checksum = checksum_for(entry.dtype, piece.shape, piece.size, keep_lengths=True)
        for chunk in self.read(entry, piece, checksum):
            data[position : position + len(chunk)] = chunk
            position += len(chunk)
        if not isinstance(checksum, StringChecksum):
            return np.frombuffer(data, dtype).reshape(piece.shape)
        array = np.empty(math.prod(piece.shape), object)
        position = checksum.header_size
        lengths = (length for lengths in checksum.lengths for length in lengths.tolist())
        for number, length in enumerate(lengths):
            array[number] = bytes(data[position : position + length])
            position += length
        return array.reshape(piece.shape)
