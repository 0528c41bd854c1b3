"""Compare the weights of two published versions, variable by variable.

    two release records ─► two indexes ─► the same variables of both, block by block ─► one row each

The blocks come straight from the bucket: no complete tensor is in memory, and nothing is copied to
this machine's disk. TensorFlow is not needed.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.bundle.shard_reader import Piece
from redraw.checkpoint.bundle.tensors import BundleTensors
from redraw.checkpoint.formats.bundle import BundleSource
from redraw.checkpoint.formats.locate import locate_checkpoint
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.names import ModelName
from redraw.publish.bucket.layout import version_folder
from redraw.publish.bucket.verified import demand_verified
from redraw.records.results import UnlikeVariable, VariableDifference, WeightDifferences
from redraw.requests import DifferencesRequest
from redraw.storage.opening import Storage, open_storage

_logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 5.0
# Stored bytes; a few blocks as 64-bit floats fit into the processor's cache.
_BLOCK = 1 << 18
# Sums of squares outside of this range may have lost values.
_SAFE_SQUARES = (1e-200, 1e300)


class _Weights(NamedTuple):
    """The variables of a version; without a bundle if it has none."""

    bundle: BundleTensors | None
    entries: Mapping[str, TensorEntry]


def compare_weights(request: DifferencesRequest, storage: Storage | None = None) -> WeightDifferences:
    """Compare the served variables of two versions.

    Args:
        request: The model, its bucket and the two versions.
        storage: The model bucket, if it is open already.

    Returns:
        A row for each variable that both have, the largest relative change first, and the rest by name.

    Raises:
        VersionNotFound: One of the versions was never published, or has been pruned.
        CheckpointCorrupt: Weights are missing, truncated or altered.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model, started = request.model, time.monotonic()
    storage = storage or open_storage(request.bucket)
    weights, other = (_open(storage, model, version) for version in (request.version, request.other))
    shared = [key for key in weights.entries if key in other.entries]
    unlike = {
        key: why for key in shared if (why := _explain_unlike(weights.entries[key], other.entries[key]))
    }
    rows = _compare(weights, other, [key for key in shared if key not in unlike])
    seconds = time.monotonic() - started
    _logger.info("compared %d variables of %s in %.1f s", len(rows), model, seconds)
    return WeightDifferences(
        model=model,
        version=request.version,
        other=request.other,
        variables=tuple(sorted(rows, key=_largest_first)),
        unlike=tuple(unlike.values()),
        only_in_version=tuple(sorted(weights.entries.keys() - other.entries.keys())),
        only_in_other=tuple(sorted(other.entries.keys() - weights.entries.keys())),
    )


def _open(storage: Storage, model: ModelName, version: int) -> _Weights:
    release = demand_verified(storage, model, version, content=True)
    if not any(name.startswith("variables/") for name in release.generations):
        return _Weights(None, {})
    variables = storage.uri / version_folder(model, version) / "variables/variables"
    bundle = BundleSource(locate_checkpoint(variables)).bundle
    return _Weights(bundle, {key: bundle.entries[key] for key in bundle.entries if key != OBJECT_GRAPH_KEY})


def _explain_unlike(entry: TensorEntry, other: TensorEntry) -> UnlikeVariable | None:
    """Why two variables of one key cannot be compared element by element; None if they can."""
    layouts = [sorted((part.starts, part.shape) for part in each.slices) for each in (entry, other)]
    properties = {
        "dtype": (entry.dtype, other.dtype),
        "shape": (entry.shape, other.shape),
        "partitions": tuple(layouts),
    }
    why = next((name for name, (value, other_value) in properties.items() if value != other_value), None)
    if why is None:
        return None
    return UnlikeVariable(
        key=entry.key,
        why=why,
        dtype=entry.dtype,
        shape=entry.shape,
        other_dtype=other.dtype,
        other_shape=other.shape,
    )


def _compare(weights: _Weights, other: _Weights, keys: list[str]) -> list[VariableDifference]:
    if weights.bundle is None or other.bundle is None:
        return []
    # In the order of the first version's files; the same code wrote the other's in the same order.
    keys = sorted(keys, key=lambda key: min((p.shard, p.offset) for p in weights.entries[key].pieces))
    for bundle, entries in ((weights.bundle, weights.entries), (other.bundle, other.entries)):
        bundle.expect(piece for key in keys for piece in _ordered(entries[key]))
    total, done, logged_at = sum(weights.entries[key].size for key in keys), 0, time.monotonic()
    _logger.info("comparing %d variables, %d bytes of each version", len(keys), total)
    rows = []
    for key in keys:
        rows.append(_row(weights.bundle, weights.entries[key], other.bundle, other.entries[key]))
        done += weights.entries[key].size
        if time.monotonic() - logged_at > _SECONDS_BETWEEN_LINES:
            logged_at = time.monotonic()
            _logger.info("compared %d of %d bytes", done, total)
    return rows


def _row(
    bundle: BundleTensors, entry: TensorEntry, other_bundle: BundleTensors, other: TensorEntry
) -> VariableDifference:
    gap = Gap(entry.dtype)
    for piece, other_piece in zip(_ordered(entry), _ordered(other), strict=True):
        gap.add(bundle.chunks(entry, piece), other_bundle.chunks(other, other_piece))
    return VariableDifference(
        key=entry.key,
        dtype=entry.dtype,
        shape=entry.shape,
        equal=gap.equal,
        relative_change=gap.relative,
        largest_change=gap.largest,
        not_finite=gap.not_finite,
    )


def _ordered(entry: TensorEntry) -> tuple[Piece, ...]:
    """The pieces of a variable; those of a partitioned one ordered by where they start."""
    return tuple(sorted(entry.slices, key=lambda part: part.starts)) or (entry,)


def _largest_first(row: VariableDifference) -> tuple[bool, bool, float, str]:
    measured = row.relative_change is not None
    return row.equal, measured, -(row.relative_change or 0.0), row.key


class Gap:
    """The difference between two tensors, relative to the second one.

    Attributes:
        equal: Whether they are the same in every bit.
        not_finite: The number of elements that are NaN or infinite in one of them; no figure counts them.
    """

    def __init__(self, dtype: str) -> None:
        """Start before the first byte of two tensors of this dtype, one of TensorFlow's names."""
        self.equal = True
        self.not_finite = 0
        stored = numpy_dtype(dtype)
        # Strings and the like have no distance: they are equal or not.
        self._dtype = None if stored is None or stored.kind == "O" else stored
        self._wide = np.complex128 if dtype.startswith("complex") else np.float64
        self._change = self._length = self._largest = 0.0

    @property
    def relative(self) -> float | None:
        """||a - b|| / ||b||, 0 only if a = b; None for other than numbers, and if only b is all zero."""
        if self._dtype is None:
            return None
        if not self._change:
            return 0.0
        ratio = self._change / self._length if self._length else math.inf
        # A tiny change of huge values must not vanish.
        return max(ratio, math.ulp(0.0)) if math.isfinite(ratio) else None

    @property
    def largest(self) -> float | None:
        """The largest |a - b| of all elements; None for other than numbers."""
        return None if self._dtype is None else self._largest

    def add(self, chunks: Iterable[bytes], other_chunks: Iterable[bytes]) -> None:
        """Add the bytes of a piece of both tensors, in chunks of any size."""
        # To the end of both, where their checksums are checked. Only strings may differ in length.
        for block, other in zip_longest(_blocks(chunks), _blocks(other_chunks), fillvalue=b""):
            self.equal = self.equal and block == other
            if self._dtype is not None:
                self._measure(np.frombuffer(block, self._dtype), np.frombuffer(other, self._dtype))

    def _measure(self, values: np.ndarray, other: np.ndarray) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            base = other.astype(self._wide)
            change = values.astype(self._wide) - base
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
    # A square overflowed or vanished, so the values are scaled to at most 1 first.
    largest = _largest(values)
    return largest * _length(values / largest) if largest else 0.0


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of equal size, the last one shorter; files and buckets give other chunks."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        complete = len(buffer) - len(buffer) % _BLOCK
        for start in range(0, complete, _BLOCK):
            yield bytes(buffer[start : start + _BLOCK])
        del buffer[:complete]
    if buffer:
        yield bytes(buffer)
