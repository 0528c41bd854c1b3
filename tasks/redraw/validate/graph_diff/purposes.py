"""What the operations of a network are for, as those beside them tell: dropout, augmentation, statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from redraw.validate.graph_diff.kinds import Kind, looks_like_dropout, own_kind
from redraw.validate.graph_diff.scopes import layer_of

__all__ = ["Purposes"]


class Purposes:
    """Tells what is special to training within one network.

    Args:
        operations: Scope and type of each operation.
        layers: Names of layers; what is in one layer says nothing of another.
    """

    def __init__(self, operations: Iterable[tuple[str, str]], layers: frozenset[str]) -> None:
        self._layers = layers
        self._types: dict[str, set[str]] = defaultdict(set)
        for scope, operation_type in operations:
            for path in self._up(scope):
                self._types[path].add(operation_type)

    def of(self, scope: str) -> Kind:
        """What the operations of a scope are for, by the innermost scope around them that tells."""
        around = [self._types[path] for path in self._up(scope)]
        for types in around:
            kinds = {own_kind(one) for one in types}
            if Kind.DROPOUT in kinds:
                # The mask is made around what draws the random numbers.
                masks = any(looks_like_dropout(outer) for outer in around)
                return Kind.DROPOUT if masks else Kind.AUGMENTATION
            if Kind.STATISTICS in kinds:
                return Kind.STATISTICS
        return Kind.NETWORK

    def _up(self, scope: str) -> Iterator[str]:
        """The scope and those around it, as far as its layer."""
        layer = layer_of(scope, self._layers)
        while len(scope) > len(layer):
            yield scope
            scope = scope.rpartition("/")[0]
        yield layer
