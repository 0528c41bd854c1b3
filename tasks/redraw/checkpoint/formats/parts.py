"""Partitioned variables whose parts were saved under names of their own, `w/part_0` and so on.

A Saver writes the parts of one variable as slices of one tensor, under its own name.
One that was given the parts themselves, or a program that saved each operation's
variable, wrote a tensor for each. Here they are one again, and so are the averages and
slots of the parts (`w/part_0/Adam`).
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
    """A tensor that is stored as several.

    Attributes:
        entry: What it is as one; its slices say where the parts' bytes lie.
        parts: The parts' keys, in order.
        axis: The dimension along which they follow each other.
    """

    entry: TensorEntry
    parts: tuple[str, ...]
    axis: int


def find_joined(entries: Mapping[str, TensorEntry], wanted: Mapping[str, Shape]) -> dict[str, Joined]:
    """Find the tensors that are stored in parts, and are asked for as one.

    Args:
        entries: The checkpoint's tensors.
        wanted: Key to shape of what is to be read. It decides between two ways to put equal
            parts together; where it is silent that is the first dimension, which is
            TensorFlow's own choice. What it asks for part by part is left in parts.

    Returns:
        The whole's key to the whole.
    """
    groups: dict[str, dict[int, tuple[str, str]]] = {}
    for key, found in _parts(entries):
        groups.setdefault(_name_of_whole(found), {})[int(found["number"])] = key, found["whole"]
    joined: dict[str, Joined] = {}
    for name, group in groups.items():
        parts = [group[number][0] for number in sorted(group)]
        counted = sorted(group) == list(range(len(group))) and len(group) > 1
        if counted and name not in entries and not any(part in wanted for part in parts):
            shape = wanted.get(name) or wanted.get(group[0][1])
            joined.update(_join(name, [entries[part] for part in parts], shape))
    return joined


def names_of_wholes(keys: Iterable[str]) -> set[str]:
    """What the tensors are called whose parts have such keys."""
    return {_name_of_whole(found) for _, found in _parts(keys)}


def join_parts(source: CheckpointSource, wanted: Mapping[str, Shape]) -> CheckpointSource:
    """The same checkpoint, with the tensors as one that are stored in parts.

    Returns:
        The checkpoint itself where there are none, or where it knows variables by objects.
    """
    joined = find_joined(source.entries, wanted) if source.graph is None else {}
    return _JoinedSource(source, joined) if joined else source


def _parts(keys: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    matches = ((key, _PART.fullmatch(key)) for key in keys)
    return ((key, found) for key, found in matches if found is not None)


def _name_of_whole(found: re.Match[str]) -> str:
    return f"{found['whole']}{found['more'] or ''}"


def _join(name: str, parts: list[TensorEntry], wanted: Shape | None) -> Iterator[tuple[str, Joined]]:
    """The whole under its name; nothing for tensors that make up none."""
    first, plain = parts[0], all(part.size and not part.slices and part.dtype != "string" for part in parts)
    axes = [axis for axis in range(len(first.shape)) if _fit(parts, axis)] if plain else []
    if axes:
        axis = next((axis for axis in axes if _whole(parts, axis) == wanted), axes[0])
        shape = _whole(parts, axis)
        entry = TensorEntry(
            key=name, dtype=first.dtype, shape=shape, shard=0, offset=0, crc32c=0,
            size=sum(part.size for part in parts), slices=tuple(_slices(parts, axis, shape)),
        )  # fmt: skip
        yield name, Joined(entry=entry, parts=tuple(part.key for part in parts), axis=axis)


def _fit(parts: list[TensorEntry], axis: int) -> bool:
    forms = {(part.dtype, part.shape[:axis], part.shape[axis + 1 :], len(part.shape)) for part in parts}
    return len(forms) == 1


def _whole(parts: list[TensorEntry], axis: int) -> Shape:
    shape = parts[0].shape
    return (*shape[:axis], sum(part.shape[axis] for part in parts), *shape[axis + 1 :])


def _slices(parts: list[TensorEntry], axis: int, shape: Shape) -> Iterator[TensorSlice]:
    start = 0
    for part in parts:
        length = part.shape[axis]
        yield TensorSlice(
            starts=tuple(start if number == axis else 0 for number in range(len(shape))),
            lengths=tuple(length if number == axis else -1 for number in range(len(shape))),
            shape=part.shape, shard=part.shard, offset=part.offset, size=part.size, crc32c=part.crc32c,
        )  # fmt: skip
        start += length


class _JoinedSource:
    """A checkpoint with some of its tensors as one; its digest is that of the files as they are."""

    graph: ObjectGraph | None = None

    def __init__(self, source: CheckpointSource, joined: Mapping[str, Joined]) -> None:
        self._source, self._joined = source, joined
        parts = {part for whole in joined.values() for part in whole.parts}
        left = {key: entry for key, entry in source.entries.items() if key not in parts}
        wholes = {key: whole.entry for key, whole in joined.items()}
        self.entries: Mapping[str, TensorEntry] = MappingProxyType({**left, **wholes})
        self.uri, self.format = source.uri, source.format
        self.files: tuple[FoundFile, ...] = source.files

    def verify(self) -> None:
        """Read every tensor and compare the checksums that the format has."""
        self._source.verify()

    def digest(self) -> str:
        """That of the checkpoint as it is stored."""
        return self._source.digest()

    def read_array(self, key: str) -> np.ndarray:
        """A tensor's value, checked."""
        whole = self._joined.get(key)
        if whole is None:
            return self._source.read_array(key)
        return np.concatenate([self._source.read_array(part) for part in whole.parts], whole.axis)

    def expect(self, keys: Iterable[str]) -> None:
        """From a bucket, read ahead; of a tensor in parts its parts."""
        parts = ((key, self._joined.get(key)) for key in keys)
        self._source.expect([part for key, whole in parts for part in (whole.parts if whole else (key,))])

    def move(self, key: str, writer: BundleWriter, to_key: str) -> None:
        """Write a tensor into a TensorBundle; one in parts as slices."""
        whole = self._joined.get(key)
        if whole is None:
            self._source.move(key, writer, to_key)
        elif isinstance(self._source, BundleSource):
            writer.copy(whole.entry, self._source.bundle, to_key)
        else:
            for part, at in zip(whole.parts, whole.entry.slices, strict=True):
                writer.add_slice(to_key, whole.entry.shape, at.starts, self._source.read_array(part))
