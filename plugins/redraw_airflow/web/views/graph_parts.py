"""What the comparison of the two graphs says, in rows that people read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from redraw.records.attachments import decode_attachment


@dataclass(frozen=True, kw_only=True)
class Part:
    """Operations of one scope with one purpose and one fate, as validation's `Part` has them."""

    box: str
    kind: str
    scope: str
    fate: str
    operations: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or an output of signatures, as validation's `Tensor` has it."""

    name: str
    spec: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """All operations of one purpose that share a fate.

    Attributes:
        kind: What they are for.
        count: How many there are.
        scopes: Where, those with the most first.
        operations: Type to number, the most first.
    """

    kind: str
    count: int
    scopes: tuple[str, ...]
    operations: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """The content of `graphs.json`, as far as it is shown."""

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
        """What only training has."""
        return _changes(self.training, "removed")

    @property
    def added(self) -> tuple[Change, ...]:
        """What only serving has."""
        return _changes(self.serving, "added")

    @property
    def left(self) -> tuple[Change, ...]:
        """What serving has although only training should."""
        return _changes(self.serving, "left")


@dataclass(frozen=True, kw_only=True)
class OperationRow:
    """How many operations of one type one scope has, in either of two graphs."""

    scope: str
    operation: str
    here: int
    there: int


def read_graphs(content: bytes) -> Graphs:
    """Read `graphs.json`.

    Raises:
        InvalidRecord: It is something else.
    """
    return decode_attachment(Graphs, content)


def differing_operations(here: Graphs, there: Graphs) -> Sequence[OperationRow]:
    """The operations of two serving graphs that are not as many in both, by layer or scope and type."""
    ours, theirs = _by_scope(here.serving), _by_scope(there.serving)
    return [
        OperationRow(scope=key[0], operation=key[1], here=ours[key], there=theirs[key])
        for key in sorted(ours.keys() | theirs.keys())
        if ours[key] != theirs[key]
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
