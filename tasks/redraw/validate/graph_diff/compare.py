"""Compare the graph that trains with the graph that serves: matched by scope and type of operation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redraw.validate.graph_diff.comparison import Comparison, Fate, Part
from redraw.validate.graph_diff.flatten import Operation
from redraw.validate.graph_diff.kinds import Kind, Purposes, align_scopes, layer_of, own_kind, plain_scopes
from redraw.validate.graph_diff.serving_graph import ServedSignature, Tensor

if TYPE_CHECKING:
    from redraw.validate.graph_diff.training import TrainingGraph

_SERVING = "serving"
_INPUT = ":in"
_GRADIENT_SCOPES = {"gradients", "gradient_tape"}

Counts = Counter[tuple[str, str]]
Parts = dict[tuple[str, str, str, Fate], Counter[str]]


@dataclass(frozen=True)
class _Placed:
    """An operation of a network, its scope in both graphs, and its box."""

    operation: Operation
    scope: str
    box: str

    @property
    def key(self) -> tuple[str, str]:
        return self.scope, self.operation.type


def compare_graphs(
    training: TrainingGraph, signatures: list[ServedSignature], allowed: Collection[str]
) -> Comparison:
    """Compare the operations that training runs with those that the signatures reach.

    Args:
        training: The training graph.
        signatures: The operations that each signature reaches.
        allowed: Types of operations that may be random or keep a state.
    """
    network = [op for op, kind in training.operations if kind is Kind.NETWORK]
    outside = [(op, _kind_outside(op, kind)) for op, kind in training.operations if kind is not Kind.NETWORK]
    trained = _place(network, plain_scopes((op.scope for op in network), training.layers), training.layers)
    served = [_place_served(signature, trained, training.layers) for signature in signatures]
    parts = _training_parts(trained, _most(map(_count, served)), training.layers)
    _add_outside(parts, outside)
    forbidden = {kind for op, _ in training.operations if (kind := own_kind(op.type))}
    boxes = {id(op): f":{kind.value}" for op, kind in outside}
    return Comparison(
        training=_listed(parts),
        serving=_serving_parts(served, trained, training.layers, _Leftovers(forbidden, allowed)),
        training_inputs=training.inputs,
        placeholders=_merged(tensor for signature in signatures for tensor in signature.inputs.values()),
        outputs=_merged(tensor for signature in signatures for tensor in signature.outputs),
        training_flow=tuple(sorted(set(_flow(trained, outside, boxes)))),
        serving_flow=tuple(sorted(set(_serving_flow(signatures, served)))),
        layers=tuple(sorted(training.layers)),
    )


def _kind_outside(operation: Operation, kind: Kind) -> Kind:
    """The kind of an operation outside of the network; its type alone tells summaries and saving."""
    own = own_kind(operation.type)
    return own if own in (Kind.SUMMARY, Kind.SAVING) else kind


def _place_served(
    signature: ServedSignature, trained: list[_Placed], layers: frozenset[str]
) -> list[_Placed]:
    operations = signature.graph.operations
    plain = plain_scopes((op.scope for op in operations), layers)
    aligned = align_scopes(plain.values(), [placed.scope for placed in trained])
    return _place(operations, {raw: aligned[scope] for raw, scope in plain.items()}, layers)


def _place(operations: list[Operation], scopes: Mapping[str, str], layers: frozenset[str]) -> list[_Placed]:
    computing = [op for op in operations if op.type != "Placeholder"]
    loose = _components([op for op in computing if not op.scope])
    return [
        _Placed(op, scopes[op.scope], loose.get(id(op)) or layer_of(scopes[op.scope], layers))
        for op in computing
    ]


def _components(operations: list[Operation]) -> dict[int, str]:
    """Boxes for operations without a scope: one box for connected operations, named by their types."""
    groups = {id(op): [op] for op in operations}
    for op in operations:
        for source in op.sources:
            group, source_group = groups[id(op)], groups.get(id(source), [])
            if source_group and source_group is not group:
                smaller, larger = sorted((group, source_group), key=len)
                larger += smaller
                groups.update((id(member), larger) for member in smaller)
    names = {id(group): ":" + ", ".join(sorted({op.type for op in group})) for group in groups.values()}
    return {key: names[id(group)] for key, group in groups.items()}


def _count(operations: Iterable[_Placed]) -> Counts:
    return Counter(placed.key for placed in operations)


def _most(counted: Iterable[Counts]) -> Counts:
    most: Counts = Counter()
    for counts in counted:
        most |= counts
    return most


def _training_parts(trained: list[_Placed], served: Counts, layers: frozenset[str]) -> Parts:
    purposes = Purposes((placed.key for placed in trained), layers)
    parts: Parts = defaultdict(Counter)
    free = Counter(served)
    for placed in trained:
        shared = free[placed.key] > 0
        free[placed.key] -= shared
        kind = Kind.NETWORK if shared else purposes.of(placed.scope)
        fate: Fate = "shared" if shared else "removed"
        parts[placed.box, kind.value, layer_of(placed.scope, layers), fate][placed.operation.type] += 1
    return parts


def _add_outside(parts: Parts, outside: list[tuple[Operation, Kind]]) -> None:
    for op, kind in outside:
        scope = op.scope.partition("/")[0]
        parts[f":{kind.value}", kind.value, scope, "removed"][op.type] += 1


@dataclass(frozen=True)
class _Leftovers:
    """Recognizes operations of the serving graph that only training should have.

    Attributes:
        kinds: The kinds of operations that training has.
        allowed: The types of operations that the definition declares.
    """

    kinds: Collection[Kind]
    allowed: Collection[str]

    def has(self, operation: Operation) -> bool:
        """Whether an operation is of a kind that only training should have."""
        if operation.type in self.allowed:
            return False
        return own_kind(operation.type) in self.kinds or _of_gradient(operation)


def _of_gradient(operation: Operation) -> bool:
    # By scope alone: a transposed convolution uses an operation that is a gradient elsewhere.
    return not _GRADIENT_SCOPES.isdisjoint(operation.scope.split("/"))


def _serving_parts(
    served: list[list[_Placed]], trained: list[_Placed], layers: frozenset[str], leftovers: _Leftovers
) -> tuple[Part, ...]:
    most: Parts = defaultdict(Counter)
    for operations in served:
        purposes = Purposes((placed.key for placed in operations), layers)
        free = _count(trained)
        parts: Parts = defaultdict(Counter)
        for placed in operations:
            shared = free[placed.key] > 0
            free[placed.key] -= shared
            fate: Fate = "shared" if shared else "added"
            kind = Kind.NETWORK.value if shared else _SERVING
            if leftovers.has(placed.operation):
                fate, kind = "left", _left_kind(placed, purposes).value
            parts[placed.box, kind, layer_of(placed.scope, layers), fate][placed.operation.type] += 1
        for key, counts in parts.items():
            most[key] |= counts
    return _listed(most)


def _left_kind(placed: _Placed, purposes: Purposes) -> Kind:
    if _of_gradient(placed.operation):
        return Kind.GRADIENT
    own = own_kind(placed.operation.type)
    around = purposes.of(placed.scope)
    return own if own is not None and (around is Kind.NETWORK or own not in _RECOGNIZED_BY_SCOPE) else around


_RECOGNIZED_BY_SCOPE = (Kind.DROPOUT, Kind.STATISTICS)


def _listed(parts: Parts) -> tuple[Part, ...]:
    return tuple(
        Part(box=box, kind=kind, scope=scope, fate=fate, operations=dict(sorted(counts.items())))
        for (box, kind, scope, fate), counts in sorted(parts.items())
    )


def _merged(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Each tensor once, with all signatures that have it."""
    signatures: dict[tuple[str, str], list[str]] = defaultdict(list)
    for tensor in tensors:
        signatures[tensor.name, tensor.spec] += tensor.signatures
    return tuple(
        Tensor(name=name, spec=spec, signatures=tuple(names))
        for (name, spec), names in sorted(signatures.items())
    )


def _flow(
    trained: list[_Placed], outside: list[tuple[Operation, Kind]], boxes: Mapping[int, str]
) -> Iterator[tuple[str, str]]:
    all_boxes = {**boxes, **{id(placed.operation): placed.box for placed in trained}}
    yield from _between(trained, all_boxes)
    for operation, _ in outside:
        for source in operation.sources:
            if all_boxes.get(id(source), boxes[id(operation)]) != boxes[id(operation)]:
                yield all_boxes[id(source)], boxes[id(operation)]


def _between(operations: list[_Placed], boxes: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    for placed in operations:
        for source in placed.operation.sources:
            box = boxes.get(id(source), _INPUT if source.type == "Placeholder" else placed.box)
            if box != placed.box:
                yield box, placed.box


def _serving_flow(
    signatures: list[ServedSignature], served: list[list[_Placed]]
) -> Iterator[tuple[str, str]]:
    for signature, operations in zip(signatures, served, strict=True):
        boxes = {id(placed.operation): placed.box for placed in operations}
        for op in signature.graph.operations:
            if op.type == "Placeholder":
                boxes[id(op)] = f":in/{signature.inputs[op.name].name}"
        yield from _between(operations, boxes)
        for tensor, ends in zip(signature.outputs, signature.graph.ends, strict=True):
            yield from ((boxes[id(end)], f":out/{tensor.name}") for end in ends)
