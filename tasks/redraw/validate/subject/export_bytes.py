"""Read an export's files once, for everything that the checks ask about their bytes.

One pass computes each file's digest and each tensor's checksum, counts the elements that are not
finite and compares every tensor bit by bit with the checkpoint, block by block, while the block is
in the processor's cache.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from redraw.checkpoint.bundle.checksum import finish_checksum
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.bundle.finite import ScanningChecksum, scanning_checksum_for
from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.shard_reader import LocalShard, Piece
from redraw.errors import CheckpointError, StorageError
from redraw.records.files import SIGNATURE_FILE
from redraw.storage.files import digest_files, scan_file

# The stored bytes of one piece of the checkpoint's tensor, in blocks of any size.
SourceBytes = Callable[[Piece], Iterator[bytes]]
_BLOCK = 512 * 1024


@dataclass(kw_only=True)
class Reading:
    """The results of one pass over the bytes.

    Attributes:
        files: The name in the folder, size in bytes and SHA-256 of each file.
        damaged: Tensor to what is wrong with its bytes.
        non_finite: Tensor to its number of elements that are NaN or infinite.
        compared: Tensor to the number of its bytes that were compared with the checkpoint's.
        unlike: Tensor to how it differs from the checkpoint's, or why the checkpoint's cannot be read.
    """

    files: list[tuple[str, int, str]] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    non_finite: Counter[str] = field(default_factory=Counter)
    compared: Counter[str] = field(default_factory=Counter)
    unlike: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of all files, computed like the one in an export's record."""
        return digest_files(self.files)

    @property
    def size_bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(size for _, size, _ in self.files)

    def add(self, other: Reading) -> None:
        """Add the results of another file; a tensor may have parts in several files."""
        self.files += other.files
        self.damaged.update(other.damaged)
        self.unlike.update(other.unlike)
        self.non_finite += other.non_finite
        self.compared += other.compared


def read_export(folder: Path, bundle: TensorBundle | None, sources: Mapping[str, SourceBytes]) -> Reading:
    """Read every file of an export once.

    Args:
        folder: The SavedModel.
        bundle: Its variables; None if their index cannot be read.
        sources: Tensor to the checkpoint's bytes for it; only these tensors are compared.

    Raises:
        OSError: A file cannot be read.
    """
    reading = Reading()
    shards = dict(_pieces_by_shard(bundle)) if bundle is not None else {}
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def read(name: str) -> Reading:
        path = folder / name
        if path in shards:
            return _Shard(path, name, sources).read(shards[path])
        file = scan_file(path, name)
        return Reading(files=[(name, file.size, file.sha256)])

    # The libraries that do the work release the interpreter's lock.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for part in pool.map(read, sorted(names - {SIGNATURE_FILE})):
            reading.add(part)
    for key in _of_missing_shards(bundle):
        reading.damaged.setdefault(key, "its data file is missing")
    return reading


def _pieces_by_shard(bundle: TensorBundle) -> Iterator[tuple[Path, list[tuple[TensorEntry, Piece]]]]:
    for number, path in enumerate(bundle.shard_paths):
        pieces = [
            (entry, piece)
            for entry in bundle.entries.values()
            for piece in entry.slices or (entry,)
            if piece.shard == number
        ]
        yield path, sorted(pieces, key=lambda pair: (pair[1].offset, pair[1].size))


def _of_missing_shards(bundle: TensorBundle | None) -> Iterator[str]:
    paths = bundle.shard_paths if bundle is not None else ()
    missing = {number for number, path in enumerate(paths) if not path.is_file()}
    for entry in bundle.entries.values() if bundle is not None else ():
        if any(piece.shard in missing for piece in entry.slices or (entry,)):
            yield entry.key


class _Shard:
    """One data file, read from its beginning to its end."""

    def __init__(self, path: Path, name: str, sources: Mapping[str, SourceBytes]) -> None:
        self._path, self._name, self._sources = path, name, sources
        self._reading, self._sha256 = Reading(), hashlib.sha256()

    def read(self, pieces: list[tuple[TensorEntry, Piece]]) -> Reading:
        """Read the file, tensor by tensor in the order of the bytes."""
        shard, at = LocalShard(self._path), 0
        try:
            for entry, piece in pieces:
                if piece.offset < at or piece.offset + piece.size > shard.size:
                    problem = (
                        "another tensor uses some of the same bytes"
                        if piece.offset < at
                        else "the file is cut off"
                    )
                    self._reading.damaged[entry.key] = f"{self._name}: {problem}"
                    continue
                self._pass_over(shard, at, piece.offset)
                self._read_piece(shard, entry, piece)
                at = piece.offset + piece.size
            self._pass_over(shard, at, shard.size)
            self._reading.files.append((self._name, shard.size, self._sha256.hexdigest()))
            return self._reading
        finally:
            shard.close()

    def _pass_over(self, shard: LocalShard, start: int, end: int) -> None:
        for _ in self._blocks(shard, start, end):
            pass

    def _read_piece(self, shard: LocalShard, entry: TensorEntry, piece: Piece) -> None:
        reading, key = self._reading, entry.key
        checksum = ToleratedChecksum(entry, piece)
        source = ExpectedBytes(self._sources[key](piece)) if key in self._sources else None
        for block in self._blocks(shard, piece.offset, piece.offset + piece.size):
            checksum.update(block)
            if source is not None:
                source.compare(block)
        damage = checksum.finish()
        if damage:
            reading.damaged[key] = f"{self._name}: {damage}"
        reading.non_finite[key] += checksum.non_finite
        if source is not None:
            reading.compared[key] += piece.size
            problem = source.finish()
            if problem:
                reading.unlike[key] = problem

    def _blocks(self, shard: LocalShard, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            block = shard.read(start, min(_BLOCK, end - start))
            if not block:
                raise OSError(
                    f"{self._path}: expected {shard.size} bytes, but the file ended after {start} bytes."
                )
            self._sha256.update(block)
            start += len(block)
            yield block


class ToleratedChecksum:
    """The checksum of a piece; if the piece is damaged, the rest of the file is still read."""

    def __init__(self, entry: TensorEntry, piece: Piece) -> None:
        self._checksum = scanning_checksum_for(entry.dtype, piece.shape, piece.size)
        self._expected = piece.crc32c
        self._damage = ""

    @property
    def non_finite(self) -> int:
        """The number of elements so far that are NaN or infinite."""
        return self._checksum.scan.count if isinstance(self._checksum, ScanningChecksum) else 0

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        if not self._damage:
            try:
                self._checksum.update(block)
            except MalformedError as err:
                self._damage = str(err)

    def finish(self) -> str:
        """What is wrong with the piece; empty if nothing is."""
        if not self._damage:
            try:
                finish_checksum(self._checksum, self._expected)
            except MalformedError as err:
                self._damage = str(err)
        return self._damage


class ExpectedBytes:
    """The checkpoint's bytes of a piece, read in blocks of the same size as the export's."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._buffered = b""
        self._problem = ""
        self._at = 0
        self._differing = 0
        self._first = 0

    def compare(self, block: bytes) -> None:
        """Take the next bytes of the export's tensor."""
        if self._problem:
            return
        expected = self._take(len(block))
        if expected != block:
            self._count(expected, block)
        self._at += len(block)

    def finish(self) -> str:
        """How the two differ; empty if they are the same, bit by bit."""
        if not self._problem and (self._buffered or self._take(1)):
            return "the checkpoint's tensor is longer"
        if not self._problem and self._differing:
            return f"{self._differing} of {self._at} bytes differ, the first at {self._first}"
        return self._problem

    def _count(self, expected: bytes, block: bytes) -> None:
        common = min(len(expected), len(block))
        unlike = np.frombuffer(expected, np.uint8, common) != np.frombuffer(block, np.uint8, common)
        if not self._differing:
            self._first = self._at + (int(np.argmax(unlike)) if unlike.any() else common)
        self._differing += int(np.count_nonzero(unlike)) + len(block) - common

    def _take(self, count: int) -> bytes:
        try:
            while len(self._buffered) < count:
                self._buffered += next(self._blocks)
        except StopIteration:
            pass
        except (CheckpointError, StorageError) as err:
            self._problem = f"the checkpoint cannot be read: {err}"
        head, self._buffered = self._buffered[:count], self._buffered[count:]
        return head
