"""The comparison of the training and the serving graph, as rows of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from redraw.records.attachments import decode_attachment


@dataclass(frozen=True, kw_only=True)
class Part:
    """Operations of one scope with one purpose and one fate, like validation's `Part`."""

    box: str
    kind: str
    scope: str
    fate: str
    operations: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or an output of signatures, like validation's `Tensor`."""

    name: str
    spec: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """All operations of one purpose that share a fate.

    Attributes:
        kind: Their purpose.
        count: Their number.
        scopes: Their scopes, those with the most operations first.
        operations: Type to number, the most frequent first.
    """

    kind: str
    count: int
    scopes: tuple[str, ...]
    operations: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """The part of `graphs.json` that is shown."""

    training_operations: int
    serving_operations: int
    shared: int
    training: tuple[Part, ...]
    serving: tuple[Part, ...]
    training_inputs: tuple[str, ...]
    placeholders: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def removed(self) -> tuple[Change, ...]:
        """Operations that only training has."""
        return _changes(self.training, "removed")

    @property
    def added(self) -> tuple[Change, ...]:
        """Operations that only serving has."""
        return _changes(self.serving, "added")

    @property
    def left(self) -> tuple[Change, ...]:
        """Operations of training that are still in the serving graph."""
        return _changes(self.serving, "left")


@dataclass(frozen=True, kw_only=True)
class OperationRow:
    """The numbers of operations of one type and scope in two graphs."""

    scope: str
    operation: str
    here: int
    there: int


def read_graphs(content: bytes) -> Graphs:
    """Read `graphs.json`.

    Raises:
        InvalidRecord: The content is malformed.
    """
    return decode_attachment(Graphs, content)


def differing_operations(here: Graphs, there: Graphs) -> Sequence[OperationRow]:
    """The operations whose numbers differ in two serving graphs, by layer or scope and type."""
    here_counts, there_counts = _by_scope(here.serving), _by_scope(there.serving)
    return [
        OperationRow(scope=key[0], operation=key[1], here=here_counts[key], there=there_counts[key])
        for key in sorted(here_counts.keys() | there_counts.keys())
        if here_counts[key] != there_counts[key]
    ]


def _changes(parts: Iterable[Part], fate: str) -> tuple[Change, ...]:
    by_kind: dict[str, list[Part]] = {}
    for part in parts:
        if part.fate == fate:
            by_kind.setdefault(part.kind, []).append(part)
    changes = [_change(kind, members) for kind, members in by_kind.items()]
    return tuple(sorted(changes, key=lambda change: (-change.count, change.kind)))


def _change(kind: str, parts: list[Part]) -> Change:
    scopes, operations = Counter[str](), Counter[str]()
    for part in parts:
        scopes[part.scope or part.box.removeprefix(":")] += sum(part.operations.values())
        operations.update(part.operations)
    return Change(
        kind=kind,
        count=operations.total(),
        scopes=tuple(scope for scope, _ in _most(scopes)),
        operations=dict(_most(operations)),
    )


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _by_scope(parts: Iterable[Part]) -> Counter[tuple[str, str]]:
    counts = Counter[tuple[str, str]]()
    for part in parts:
        for operation, count in part.operations.items():
            counts[part.scope or part.box.removeprefix(":"), operation] += count
    return counts
