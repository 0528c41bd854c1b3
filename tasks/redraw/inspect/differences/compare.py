"""How far the weights of two published versions are apart, variable by variable.

    two release records ─► two indexes ─► the same variables of both, block by block ─► one row each

The blocks come straight from the bucket: no tensor is ever in memory as a whole, and nothing
is copied to this machine's disk. TensorFlow is not needed.
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
# Of stored bytes: a few of these as 64-bit floats stay in the processor's cache.
_BLOCK = 1 << 18
# Of a block's values: beyond these some may have been lost.
_SAFE_SQUARES = (1e-200, 1e300)


class _Weights(NamedTuple):
    """The variables of a version; no bundle where it has none."""

    bundle: BundleTensors | None
    entries: Mapping[str, TensorEntry]


def compare_weights(request: DifferencesRequest, storage: Storage | None = None) -> WeightDifferences:
    """Compare the served variables of two versions.

    Args:
        request: The model, its bucket and the two versions.
        storage: The model bucket, opened already.

    Returns:
        A row for each variable of both, the largest relative change first, and the rest by name.

    Raises:
        VersionNotFound: One of them was never published, or has been pruned.
        CheckpointCorrupt: Weights are missing, truncated or altered.
        StorageError: The bucket is missing, forbidden or does not answer.
    """
    model, started = request.model, time.monotonic()
    storage = storage or open_storage(request.bucket)
    ours, theirs = (_open(storage, model, version) for version in (request.version, request.other))
    shared = [key for key in ours.entries if key in theirs.entries]
    unlike = {key: why for key in shared if (why := _unlikeness(ours.entries[key], theirs.entries[key]))}
    rows = _compare(ours, theirs, [key for key in shared if key not in unlike])
    seconds = time.monotonic() - started
    _logger.info("compared %d variables of %s in %.1f s", len(rows), model, seconds)
    return WeightDifferences(
        model=model,
        version=request.version,
        other=request.other,
        variables=tuple(sorted(rows, key=_largest_first)),
        unlike=tuple(unlike.values()),
        only_in_version=tuple(sorted(ours.entries.keys() - theirs.entries.keys())),
        only_in_other=tuple(sorted(theirs.entries.keys() - ours.entries.keys())),
    )


def _open(storage: Storage, model: ModelName, version: int) -> _Weights:
    release = demand_verified(storage, model, version, content=True)
    if not any(name.startswith("variables/") for name in release.generations):
        return _Weights(None, {})
    variables = storage.uri / version_folder(model, version) / "variables/variables"
    bundle = BundleSource(locate_checkpoint(variables)).bundle
    return _Weights(bundle, {key: bundle.entries[key] for key in bundle.entries if key != OBJECT_GRAPH_KEY})


def _unlikeness(ours: TensorEntry, theirs: TensorEntry) -> UnlikeVariable | None:
    """Why two variables of one key cannot be held against each other, element by element."""
    layouts = [sorted((part.starts, part.shape) for part in entry.slices) for entry in (ours, theirs)]
    kinds = {
        "dtype": (ours.dtype, theirs.dtype),
        "shape": (ours.shape, theirs.shape),
        "partitions": tuple(layouts),
    }
    why = next((name for name, (one, other) in kinds.items() if one != other), None)
    if why is None:
        return None
    return UnlikeVariable(
        key=ours.key,
        why=why,
        dtype=ours.dtype,
        shape=ours.shape,
        other_dtype=theirs.dtype,
        other_shape=theirs.shape,
    )


def _compare(ours: _Weights, theirs: _Weights, keys: list[str]) -> list[VariableDifference]:
    if ours.bundle is None or theirs.bundle is None:
        return []
    # In the order of the one's files; the other was written by the same code, in the same order.
    keys = sorted(keys, key=lambda key: min((p.shard, p.offset) for p in ours.entries[key].pieces))
    for bundle, entries in ((ours.bundle, ours.entries), (theirs.bundle, theirs.entries)):
        bundle.expect(piece for key in keys for piece in _ordered(entries[key]))
    total, done, said = sum(ours.entries[key].size for key in keys), 0, time.monotonic()
    _logger.info("comparing %d variables, %d bytes of each version", len(keys), total)
    rows = []
    for key in keys:
        rows.append(_row(ours.bundle, ours.entries[key], theirs.bundle, theirs.entries[key]))
        done += ours.entries[key].size
        if time.monotonic() - said > _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            _logger.info("compared %d of %d bytes", done, total)
    return rows


def _row(
    ours: BundleTensors, entry: TensorEntry, theirs: BundleTensors, other: TensorEntry
) -> VariableDifference:
    gap = Gap(entry.dtype)
    for one, two in zip(_ordered(entry), _ordered(other), strict=True):
        gap.take(ours.chunks(entry, one), theirs.chunks(other, two))
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
    """Its pieces, those of a partitioned one by where they begin in it."""
    return tuple(sorted(entry.slices, key=lambda part: part.starts)) or (entry,)


def _largest_first(row: VariableDifference) -> tuple[bool, bool, float, str]:
    known = row.relative_change is not None
    return row.equal, known, -(row.relative_change or 0.0), row.key


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
