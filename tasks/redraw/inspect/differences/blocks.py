"""How far two streams of one dtype are apart, a block of each at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import zip_longest

import numpy as np

from redraw.checkpoint.bundle.dtypes import numpy_dtype

# Of stored bytes: a few of these as 64-bit floats stay in the processor's cache.
_BLOCK = 1 << 18
# Of a block's values: beyond these some may have been lost.
_SAFE_SQUARES = (1e-200, 1e300)


class Gap:
    """How far two tensors are apart, of which the second one is the measure.

    Attributes:
        equal: Whether they are the same in every bit.
        not_finite: Elements that are NaN or infinite in one of them; they count in no figure.
    """

    def __init__(self, dtype: str) -> None:
        """Start before the first byte of two tensors of this dtype, one of TensorFlow's names."""
        self.equal = True
        self.not_finite = 0
        held = numpy_dtype(dtype)
        # Strings and the like have no distance: they are the same or they are not.
        self._held = None if held is None or held.kind == "O" else held
        self._wide = np.complex128 if dtype.startswith("complex") else np.float64
        self._change = self._length = self._largest = 0.0

    @property
    def relative(self) -> float | None:
        """||a - b|| / ||b||; None of what is no number, and where b is all zero and a is not."""
        if self._held is None:
            return None
        if not self._change:
            return 0.0
        ratio = self._change / self._length if self._length else math.inf
        return ratio if math.isfinite(ratio) else None

    @property
    def largest(self) -> float | None:
        """The largest |a - b| of all elements; None of what is no number."""
        return None if self._held is None else self._largest

    def take(self, ours: Iterable[bytes], theirs: Iterable[bytes]) -> None:
        """Take the bytes of a piece of both, however they are cut."""
        # To the end of both, where their checksums are compared. Only strings may differ in length.
        for one, two in zip_longest(_blocks(ours), _blocks(theirs), fillvalue=b""):
            self.equal = self.equal and one == two
            if self._held is not None:
                self._measure(np.frombuffer(one, self._held), np.frombuffer(two, self._held))

    def _measure(self, one: np.ndarray, two: np.ndarray) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            base = two.astype(self._wide)
            change = one.astype(self._wide) - base
            if not np.isfinite(change.sum()):
                finite = np.isfinite(change)
                self.not_finite += int(finite.size - np.count_nonzero(finite))
                base, change = base[finite], change[finite]
        self._change = math.hypot(self._change, _length(change))
        self._length = math.hypot(self._length, _length(base))
        self._largest = max(self._largest, _largest(change))


def _length(values: np.ndarray) -> float:
    """The Euclidean length, whatever the size of the values."""
    with np.errstate(over="ignore", under="ignore"):
        squares = float(np.vdot(values, values).real)
    if _SAFE_SQUARES[0] < squares < _SAFE_SQUARES[1]:
        return math.sqrt(squares)
    # A square overflowed or vanished, so they are brought near 1 before.
    largest = _largest(values)
    return largest * _length(values / largest) if largest else 0.0


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size, the last one shorter: files are cut otherwise than buckets."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        whole = len(held) - len(held) % _BLOCK
        for start in range(0, whole, _BLOCK):
            yield bytes(held[start : start + _BLOCK])
        del held[:whole]
    if held:
        yield bytes(held)
