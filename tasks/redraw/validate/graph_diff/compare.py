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
    """An operation of a network, the scope that both graphs know it by, and its box."""

    operation: Operation
    scope: str
    box: str

    @property
    def key(self) -> tuple[str, str]:
        return self.scope, self.operation.type


def compare_graphs(
    training: TrainingGraph, signatures: list[ServedSignature], allowed: Collection[str]
) -> Comparison:
    """Compare what training runs with what the signatures reach.

    Args:
        training: The training graph.
        signatures: What each signature reaches.
        allowed: Types of operations that may be random or keep a state.
    """
    network = [one for one, kind in training.operations if kind is Kind.NETWORK]
    apart = [(one, _apart(one, kind)) for one, kind in training.operations if kind is not Kind.NETWORK]
    trained = _placed(network, plain_scopes((one.scope for one in network), training.layers), training.layers)
    served = [_served(signature, trained, training.layers) for signature in signatures]
    parts = _training_parts(trained, _most(map(_counted, served)), training.layers)
    _add_apart(parts, apart)
    forbidden = {kind for one, _ in training.operations if (kind := own_kind(one.type))}
    boxes = {id(one): f":{kind.value}" for one, kind in apart}
    return Comparison(
        training=_listed(parts),
        serving=_serving_parts(served, trained, training.layers, _Leftovers(forbidden, allowed)),
        training_inputs=training.inputs,
        placeholders=_merged(tensor for one in signatures for tensor in one.inputs.values()),
        outputs=_merged(tensor for one in signatures for tensor in one.outputs),
        training_flow=tuple(sorted(set(_flow(trained, apart, boxes)))),
        serving_flow=tuple(sorted(set(_serving_flow(signatures, served)))),
        layers=tuple(sorted(training.layers)),
    )


def _apart(operation: Operation, kind: Kind) -> Kind:
    """What is no part of the network; summaries and saving are wherever they are drawn."""
    own = own_kind(operation.type)
    return own if own in (Kind.SUMMARY, Kind.SAVING) else kind


def _served(signature: ServedSignature, trained: list[_Placed], layers: frozenset[str]) -> list[_Placed]:
    operations = signature.graph.operations
    plain = plain_scopes((one.scope for one in operations), layers)
    aligned = align_scopes(plain.values(), [one.scope for one in trained])
    return _placed(operations, {raw: aligned[scope] for raw, scope in plain.items()}, layers)


def _placed(operations: list[Operation], scopes: Mapping[str, str], layers: frozenset[str]) -> list[_Placed]:
    computing = [one for one in operations if one.type != "Placeholder"]
    loose = _components([one for one in computing if not one.scope])
    return [
        _Placed(one, scopes[one.scope], loose.get(id(one)) or layer_of(scopes[one.scope], layers))
        for one in computing
    ]


def _components(operations: list[Operation]) -> dict[int, str]:
    """Boxes for operations without a scope: one for those that hang together, named by their types."""
    groups = {id(one): [one] for one in operations}
    for one in operations:
        for source in one.sources:
            ours, theirs = groups[id(one)], groups.get(id(source), [])
            if theirs and theirs is not ours:
                smaller, larger = sorted((ours, theirs), key=len)
                larger += smaller
                groups.update((id(member), larger) for member in smaller)
    names = {id(group): ":" + ", ".join(sorted({one.type for one in group})) for group in groups.values()}
    return {key: names[id(group)] for key, group in groups.items()}


def _counted(placed: Iterable[_Placed]) -> Counts:
    return Counter(one.key for one in placed)


def _most(counted: Iterable[Counts]) -> Counts:
    most: Counts = Counter()
    for counts in counted:
        most |= counts
    return most


def _training_parts(trained: list[_Placed], served: Counts, layers: frozenset[str]) -> Parts:
    purposes = Purposes((one.key for one in trained), layers)
    parts: Parts = defaultdict(Counter)
    free = Counter(served)
    for one in trained:
        shared = free[one.key] > 0
        free[one.key] -= shared
        kind = Kind.NETWORK if shared else purposes.of(one.scope)
        fate: Fate = "shared" if shared else "removed"
        parts[one.box, kind.value, layer_of(one.scope, layers), fate][one.operation.type] += 1
    return parts


def _add_apart(parts: Parts, apart: list[tuple[Operation, Kind]]) -> None:
    for one, kind in apart:
        scope = one.scope.partition("/")[0]
        parts[f":{kind.value}", kind.value, scope, "removed"][one.type] += 1


@dataclass(frozen=True)
class _Leftovers:
    """What of the serving graph should have stayed in training.

    Attributes:
        kinds: Those that training has.
        allowed: Types that the definition declares.
    """

    kinds: Collection[Kind]
    allowed: Collection[str]

    def has(self, operation: Operation) -> bool:
        """Whether an operation is of a kind that only training should have."""
        if operation.type in self.allowed:
            return False
        return own_kind(operation.type) in self.kinds or _of_gradient(operation)


def _of_gradient(operation: Operation) -> bool:
    # Only by scope: a transposed convolution computes forwards what is a gradient elsewhere.
    return not _GRADIENT_SCOPES.isdisjoint(operation.scope.split("/"))


def _serving_parts(
    served: list[list[_Placed]], trained: list[_Placed], layers: frozenset[str], leftovers: _Leftovers
) -> tuple[Part, ...]:
    most: Parts = defaultdict(Counter)
    for placed in served:
        purposes = Purposes((one.key for one in placed), layers)
        free = _counted(trained)
        parts: Parts = defaultdict(Counter)
        for one in placed:
            shared = free[one.key] > 0
            free[one.key] -= shared
            fate: Fate = "shared" if shared else "added"
            kind = Kind.NETWORK.value if shared else _SERVING
            if leftovers.has(one.operation):
                fate, kind = "left", _left_kind(one, purposes).value
            parts[one.box, kind, layer_of(one.scope, layers), fate][one.operation.type] += 1
        for key, counts in parts.items():
            most[key] |= counts
    return _listed(most)


def _left_kind(one: _Placed, purposes: Purposes) -> Kind:
    if _of_gradient(one.operation):
        return Kind.GRADIENT
    own = own_kind(one.operation.type)
    around = purposes.of(one.scope)
    return own if own is not None and (around is Kind.NETWORK or own not in _TOLD_BY_SCOPE) else around


_TOLD_BY_SCOPE = (Kind.DROPOUT, Kind.STATISTICS)


def _listed(parts: Parts) -> tuple[Part, ...]:
    return tuple(
        Part(box=box, kind=kind, scope=scope, fate=fate, operations=dict(sorted(counts.items())))
        for (box, kind, scope, fate), counts in sorted(parts.items())
    )


def _merged(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Each once, with all signatures that have it."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for tensor in tensors:
        found[tensor.name, tensor.spec] += tensor.signatures
    return tuple(
        Tensor(name=name, spec=spec, signatures=tuple(names)) for (name, spec), names in sorted(found.items())
    )


def _flow(
    trained: list[_Placed], apart: list[tuple[Operation, Kind]], boxes: Mapping[int, str]
) -> Iterator[tuple[str, str]]:
    known = {**boxes, **{id(one.operation): one.box for one in trained}}
    yield from _between(trained, known)
    for operation, _ in apart:
        for source in operation.sources:
            if known.get(id(source), boxes[id(operation)]) != boxes[id(operation)]:
                yield known[id(source)], boxes[id(operation)]


def _between(placed: list[_Placed], boxes: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    for one in placed:
        for source in one.operation.sources:
            box = boxes.get(id(source), _INPUT if source.type == "Placeholder" else one.box)
            if box != one.box:
                yield box, one.box


def _serving_flow(
    signatures: list[ServedSignature], served: list[list[_Placed]]
) -> Iterator[tuple[str, str]]:
    for signature, placed in zip(signatures, served, strict=True):
        boxes = {id(one.operation): one.box for one in placed}
        for one in signature.graph.operations:
            if one.type == "Placeholder":
                boxes[id(one)] = f":in/{signature.inputs[one.name].name}"
        yield from _between(placed, boxes)
        for tensor, ends in zip(signature.outputs, signature.graph.ends, strict=True):
            yield from ((boxes[id(end)], f":out/{tensor.name}") for end in ends)
