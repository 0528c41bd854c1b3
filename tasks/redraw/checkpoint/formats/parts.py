"""Partitioned variables whose parts were saved under names of their own, `w/part_0` and so on.

A Saver writes the parts of one variable as slices of one tensor, under the variable's name.
A Saver that was given the parts themselves, or a program that saved each operation's
variable, wrote a tensor for each part. This module joins them again, and also the averages
and slots of the parts (`w/part_0/Adam`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from redraw.checkpoint.bundle.entries import TensorEntry, TensorSlice
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.checkpoint.formats.bundle import BundleSource
from redraw.checkpoint.formats.folder import FoundFile
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.trackable import ObjectGraph

_PART = re.compile(r"(?P<whole>.+)/part_(?P<number>[0-9]{1,9})(?P<more>/.+)?")

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A tensor that is stored as several tensors.

    Attributes:
        entry: The joined tensor; its slices say where the parts' bytes are.
        parts: The parts' keys, in order.
        axis: The dimension along which they follow each other.
    """

    entry: TensorEntry
    parts: tuple[str, ...]
    axis: int


def find_joined(entries: Mapping[str, TensorEntry], shapes: Mapping[str, Shape]) -> dict[str, Joined]:
    """Find the tensors that are stored in parts and have to be joined.

    Args:
        entries: The checkpoint's tensors.
        shapes: Key to shape of the tensors to read. The shape decides along which dimension
            equal parts are joined; without one it is the first, which is TensorFlow's own
            choice. Parts whose own keys are among them are not joined.

    Returns:
        The joined tensors by key.
    """
    groups: dict[str, dict[int, tuple[str, str]]] = {}
    for key, match in _parts(entries):
        groups.setdefault(_joined_name(match), {})[int(match["number"])] = key, match["whole"]
    joined: dict[str, Joined] = {}
    for name, group in groups.items():
        parts = [group[number][0] for number in sorted(group)]
        counted = sorted(group) == list(range(len(group))) and len(group) > 1
        if counted and name not in entries and not any(part in shapes for part in parts):
            shape = shapes.get(name) or shapes.get(group[0][1])
            joined.update(_join(name, [entries[part] for part in parts], shape))
    return joined


def joined_names(keys: Iterable[str]) -> set[str]:
    """The names of the joined tensors whose parts have these keys."""
    return {_joined_name(match) for _, match in _parts(keys)}


def join_parts(source: CheckpointSource, shapes: Mapping[str, Shape]) -> CheckpointSource:
    """The same checkpoint with the tensors joined that are stored in parts.

    Returns:
        The checkpoint itself if there are none, or if it has an object graph.
    """
    joined = find_joined(source.entries, shapes) if source.graph is None else {}
    return _JoinedSource(source, joined) if joined else source


def _parts(keys: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    matches = ((key, _PART.fullmatch(key)) for key in keys)
    return ((key, match) for key, match in matches if match is not None)


def _joined_name(match: re.Match[str]) -> str:
    return f"{match['whole']}{match['more'] or ''}"


def _join(name: str, parts: list[TensorEntry], shape: Shape | None) -> Iterator[tuple[str, Joined]]:
    """The joined tensor under its name; nothing if the parts do not fit together."""
    first, plain = parts[0], all(part.size and not part.slices and part.dtype != "string" for part in parts)
    axes = [axis for axis in range(len(first.shape)) if _fit(parts, axis)] if plain else []
    if axes:
        axis = next((axis for axis in axes if _joined_shape(parts, axis) == shape), axes[0])
        joined_shape = _joined_shape(parts, axis)
        entry = TensorEntry(
            key=name,
            dtype=first.dtype,
            shape=joined_shape,
            shard=0,
            offset=0,
            crc32c=0,
            size=sum(part.size for part in parts),
            slices=tuple(_slices(parts, axis, joined_shape)),
        )
        yield name, Joined(entry=entry, parts=tuple(part.key for part in parts), axis=axis)


def _fit(parts: list[TensorEntry], axis: int) -> bool:
    forms = {(part.dtype, part.shape[:axis], part.shape[axis + 1 :], len(part.shape)) for part in parts}
    return len(forms) == 1


def _joined_shape(parts: list[TensorEntry], axis: int) -> Shape:
    shape = parts[0].shape
    return (*shape[:axis], sum(part.shape[axis] for part in parts), *shape[axis + 1 :])


def _slices(parts: list[TensorEntry], axis: int, shape: Shape) -> Iterator[TensorSlice]:
    start = 0
    for part in parts:
        length = part.shape[axis]
        yield TensorSlice(
            starts=tuple(start if number == axis else 0 for number in range(len(shape))),
            lengths=tuple(length if number == axis else -1 for number in range(len(shape))),
            shape=part.shape,
            shard=part.shard,
            offset=part.offset,
            size=part.size,
            crc32c=part.crc32c,
        )
        start += length


class _JoinedSource:
    """A checkpoint with some of its tensors joined; its digest is that of the stored tensors."""

    graph: ObjectGraph | None = None

    def __init__(self, source: CheckpointSource, joined: Mapping[str, Joined]) -> None:
        self._source, self._joined = source, joined
        parts = {part for tensor in joined.values() for part in tensor.parts}
        unjoined = {key: entry for key, entry in source.entries.items() if key not in parts}
        wholes = {key: tensor.entry for key, tensor in joined.items()}
        self.entries: Mapping[str, TensorEntry] = MappingProxyType({**unjoined, **wholes})
        self.uri, self.format = source.uri, source.format
        self.files: tuple[FoundFile, ...] = source.files

    def verify(self) -> None:
        """Read every tensor and compare the checksums that the format has."""
        self._source.verify()

    def digest(self) -> str:
        """The digest of the stored tensors."""
        return self._source.digest()

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value, checked."""
        joined = self._joined.get(key)
        if joined is None:
            return self._source.read_array(key)
        return np.concatenate([self._source.read_array(part) for part in joined.parts], joined.axis)

    def expect(self, keys: Iterable[str]) -> None:
        """Read ahead from a bucket; for a joined tensor its parts."""
        parts = ((key, self._joined.get(key)) for key in keys)
        self._source.expect([part for key, joined in parts for part in (joined.parts if joined else (key,))])

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Write a tensor into a TensorBundle; a joined one as slices."""
        joined = self._joined.get(key)
        if joined is None:
            self._source.move(key, writer, to_key)
        elif isinstance(self._source, BundleSource):
            writer.copy(joined.entry, self._source.bundle, to_key)
        else:
            for part, piece in zip(joined.parts, joined.entry.slices, strict=True):
                writer.add_slice(to_key, joined.entry.shape, piece.starts, self._source.read_array(part))
