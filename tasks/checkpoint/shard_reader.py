"""Read the data files of a checkpoint, each tensor held to its checksum."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tasks.checkpoint.checksum import StringChecksum, TensorChecksum, checksum_for, finish_checksum
from tasks.checkpoint.encoding import MalformedError
from tasks.checkpoint.entries import TensorEntry, TensorSlice

__all__ = ["OpenShards", "Piece"]

# Large enough that the calls cost nothing, small enough to stay in the processor's cache
# between the read and the checksum.
_CHUNK_SIZE = 512 * 1024

Piece = TensorEntry | TensorSlice


class OpenShards:
    """The data files of a bundle, each opened once and all closed at the end."""

    def __init__(self, index_path: Path, shard_path: Callable[[int], Path]) -> None:
        """Prepare to read; a file is opened when a tensor in it is asked for."""
        self._index_path = index_path
        self._shard_path = shard_path
        self._descriptors: dict[int, tuple[int, int]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def descriptor(self, number: int, what: str) -> tuple[int, int]:
        """The descriptor and the size of a data file."""
        if number not in self._descriptors:
            path = self._shard_path(number)
            try:
                file = self._stack.enter_context(path.open("rb", buffering=0))
            except (FileNotFoundError, IsADirectoryError) as err:
                raise MalformedError("a data file", "none").found_in(path, what) from err
            self._descriptors[number] = (file.fileno(), os.fstat(file.fileno()).st_size)
        return self._descriptors[number]

    def locate(self, entry: TensorEntry, piece: Piece) -> int:
        """The descriptor of the file that holds a range, which is known to be within it."""
        what = f"tensor {entry.key!r}"
        descriptor, file_size = self.descriptor(piece.shard, what)
        if piece.offset + piece.size > file_size:
            damage = MalformedError(f"{piece.size} bytes at {piece.offset}", f"a file of {file_size} bytes")
            raise damage.found_in(self._shard_path(piece.shard), what)
        return descriptor

    def read(
        self, entry: TensorEntry, piece: Piece, checksum: TensorChecksum | None = None
    ) -> Iterator[bytes]:
        """The bytes of a range, in chunks, with the verdict on its checksum after the last."""
        descriptor = self.locate(entry, piece)
        checksum = checksum or checksum_for(entry.dtype, piece.shape, piece.size)
        done = 0
        try:
            while done < piece.size:
                wanted = min(_CHUNK_SIZE, piece.size - done)
                chunk = os.pread(descriptor, wanted, piece.offset + done)
                if not chunk:
                    raise MalformedError(f"{piece.size} bytes", f"the end of the file after {done}")
                checksum.update(chunk)
                done += len(chunk)
                yield chunk
            finish_checksum(checksum, piece.crc32c)
        except MalformedError as err:
            path = self._shard_path(piece.shard)
            raise err.found_in(path, f"tensor {entry.key!r}") from err

    def check_parts(self, entry: TensorEntry) -> None:
        """Check that slices have bytes of their own, so that the whole is no larger than its files."""
        for part in entry.slices:
            self.locate(entry, part)
        ordered = sorted((part.shard, part.offset, part.size) for part in entry.slices if part.size)
        for (shard, offset, size), (next_shard, next_offset, _) in zip(ordered, ordered[1:], strict=False):
            if shard == next_shard and offset + size > next_offset:
                damage = MalformedError(
                    "slices with bytes of their own", f"two that share those at {next_offset}"
                )
                raise damage.found_in(self._index_path, f"tensor {entry.key!r}")

    def assemble(self, entry: TensorEntry, piece: Piece, dtype: np.dtype) -> np.ndarray:
        """The value of a tensor in one piece, or of one slice, checked."""
        self.locate(entry, piece)
        stored, at = bytearray(piece.size), 0
        checksum = checksum_for(entry.dtype, piece.shape, piece.size, keep_lengths=True)
        for chunk in self.read(entry, piece, checksum):
            stored[at : at + len(chunk)] = chunk
            at += len(chunk)
        if not isinstance(checksum, StringChecksum):
            return np.frombuffer(stored, dtype).reshape(piece.shape)
        array = np.empty(math.prod(piece.shape), object)
        at = checksum.header_size
        lengths = (length for lengths in checksum.lengths for length in lengths.tolist())
        for number, length in enumerate(lengths):
            array[number] = bytes(stored[at : at + length])
            at += length
        return array.reshape(piece.shape)
