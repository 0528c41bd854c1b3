"""What is taken of a tensor's bytes while they pass: its checksum, and how it differs from another's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from redraw.checkpoint.bundle.checksum import finish_checksum
from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.bundle.finite import ScanningChecksum, scanning_checksum_for
from redraw.checkpoint.bundle.shard_reader import Piece
from redraw.errors import CheckpointError, StorageError


class ToleratedChecksum:
    """The checksum of a piece, whose damage does not keep the rest of the file from being read."""

    def __init__(self, entry: TensorEntry, piece: Piece) -> None:
        self._checksum = scanning_checksum_for(entry.dtype, piece.shape, piece.size)
        self._expected = piece.crc32c
        self._damage = ""

    @property
    def non_finite(self) -> int:
        """Its elements so far that are NaN or infinite."""
        return self._checksum.scan.count if isinstance(self._checksum, ScanningChecksum) else 0

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        if not self._damage:
            try:
                self._checksum.update(block)
            except MalformedError as err:
                self._damage = str(err)

    def finish(self) -> str:
        """What is wrong with it; empty for nothing."""
        if not self._damage:
            try:
                finish_checksum(self._checksum, self._expected)
            except MalformedError as err:
                self._damage = str(err)
        return self._damage


class ExpectedBytes:
    """What the checkpoint holds for a piece, taken in the blocks in which the other side comes."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._held = b""
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
        """How the two differ; empty where they are the same, bit by bit."""
        if not self._problem and (self._held or self._take(1)):
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
            while len(self._held) < count:
                self._held += next(self._blocks)
        except StopIteration:
            pass
        except (CheckpointError, StorageError) as err:
            self._problem = f"the checkpoint cannot be read: {err}"
        taken, self._held = self._held[:count], self._held[count:]
        return taken
