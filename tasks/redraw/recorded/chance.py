"""Remove dropout and noise, recognized by running the operations around them, not by names.

The operations between the data and their product with random numbers are run with chosen numbers. They are
dropout if every result is 0 or x / keep and a share of `keep` is not 0. They are alpha dropout if the kept
values are moved and scaled as in its paper. They are noise if the result is x without the random numbers, and
otherwise differs by a fixed multiple of them (of x times them for GaussianDropout). In each case x replaces
the product. Anything else is refused by name.

Source:
    https://arxiv.org/abs/1706.02515 (self-normalizing networks: alpha dropout)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from redraw.recorded.graph import INPUT, Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import CHANCE, FLOATS, LOOP_JOINTS, MERGES, SOURCES, SWITCHES, VARIABLES
from redraw.recorded.recognizing import recognize

_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_UNSETTLED = (
    SOURCES
    | VARIABLES
    | MERGES
    | SWITCHES
    | LOOP_JOINTS
    | {"_Arg", "While", "StatelessWhile", "If", "StatelessIf"}
)
_LINEAR = {"Mul", "RealDiv", "Div", "Identity", "Cast", "Reshape", "Select", "SelectV2"}
_MOST_STEPS = 6
_MOST_LINEAR = 40


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """A replaced tensor, its replacement, and the reason.

    Attributes:
        kind: What was replaced: `dropout`, `noise`, `batch statistic`.
        tensor: The replaced tensor.
        by: Its replacement: a tensor, or a variable.
        evidence: The observation that identified it.
        function: The function in whose body it is; empty for the graph itself.
    """

    kind: str
    tensor: str
    by: str
    evidence: str
    function: str = ""


def remove_chance(
    graph: Graph, outputs: list[str], allowed: tuple[str, ...]
) -> tuple[list[Replacement], list[str]]:
    """Replace every product of random numbers and data by the data.

    Args:
        graph: The graph, cut at its inputs; it is changed.
        outputs: Its output tensors.
        allowed: Kinds of random operations that the definition serves.

    Returns:
        The replacements, and what could not be replaced, in words.
    """
    return _Remover(graph, outputs, allowed).run()


class _Remover:
    def __init__(self, graph: Graph, outputs: list[str], allowed: tuple[str, ...]) -> None:
        self._graph, self._outputs, self._allowed = graph, outputs, allowed
        self._settings: dict[str, bool] = {}
        self._needed = graph.reach(outputs)
        self._users = graph.users(self._needed)
        self._replacements: list[Replacement] = []
        self._refused: dict[str, str] = {}

    def run(self) -> tuple[list[Replacement], list[str]]:
        chances = [n for n in self._needed if self._graph.nodes[n].op in CHANCE]
        # Those nearest to the inputs come first, so that each is seen after the removal of earlier ones.
        for name in reversed(chances):
            if self._graph.nodes[name].op not in self._allowed:
                self._remove(name)
        remaining = self._graph.reach(self._outputs)
        served = ((n, self._graph.nodes[n].op) for n in chances if n in remaining)
        refused = [
            self._refused.get(n, f"{op} {n!r} reaches the outputs")
            for n, op in served
            if op not in self._allowed
        ]
        return self._replacements, refused

    def _remove(self, chance: str) -> None:
        mask = self._mask(chance)
        for product, data in self._meetings(mask):
            if f"{product}:0" in self._graph.replaced:
                continue
            recognized = self._recognized(chance, product, data)
            if recognized is None:
                kind = f"{self._graph.nodes[chance].op} {chance!r}"
                self._refused[chance] = (
                    f"{kind} is combined with data in {product!r}, which is neither dropout nor noise"
                )
                continue
            last, start, kind, evidence = recognized
            self._graph.replaced[f"{last}:0"] = start
            self._replacements.append(Replacement(kind=kind, tensor=f"{last}:0", by=start, evidence=evidence))

    def _mask(self, chance: str) -> dict[str, None]:
        """The nodes that are computed only from the random numbers and settings."""
        mask, queue = {chance: None}, [chance]
        for name in queue:
            for user in self._users[name]:
                # Nodes that read only a shape, or that are a loop's joint, are not part of it.
                if (
                    user not in mask
                    and self._graph.nodes[user].op not in _UNSETTLED | _SHAPES
                    and not self._data(user, mask)
                ):
                    mask[user] = None
                    queue.append(user)
        return mask

    def _data(self, name: str, mask: dict[str, None]) -> list[str]:
        """The inputs of a node that are neither chance nor settings."""
        inputs = dict.fromkeys(self._graph.data_inputs(name))
        return [tensor for tensor in inputs if node_name(tensor) not in mask and not self.is_setting(tensor)]

    def _meetings(self, mask: dict[str, None]) -> Iterator[tuple[str, list[str]]]:
        met = {
            user: None
            for name in mask
            for user in self._users[name]
            if user not in mask and self._graph.nodes[user].op not in _SHAPES
        }
        for user in met:
            yield user, self._data(user, mask)

    def _recognized(self, chance: str, product: str, data: list[str]) -> tuple[str, str, str, str] | None:
        if len(data) != 1 or self._passed_already(chance, product):
            return None
        pieces = [
            (last, start) for last in self._forward(product, chance) for start in self._backward(data[0])
        ]
        for noise in (False, True):
            for last, start in pieces:
                rates = self._rates(start, last)
                match = recognize(self._graph, chance, start, f"{last}:0", rates, noise=noise)
                if match is not None:
                    return last, start, *match
        return None

    def _passed_already(self, chance: str, product: str) -> bool:
        """Whether the same data were multiplied by these random numbers before, as by a mask used twice."""
        mask = self._mask(chance)
        queue = [t for t in self._graph.inputs[product] if node_name(t) not in mask]
        for tensor in queue:
            # The recorded inputs: a replacement may have removed the first use.
            name = node_name(tensor)
            if name in mask:
                return True
            if self._graph.nodes[name].op in _LINEAR and len(queue) < _MOST_LINEAR:
                queue += self._graph.inputs[name]
        return False

    def _forward(self, product: str, chance: str) -> Iterator[str]:
        """The product, and what is computed only from it, such as scaled or moved values."""
        grown = self._mask(chance)
        for _ in range(_MOST_STEPS):
            yield product
            grown[product] = None
            users = [
                user
                for user in self._users[product]
                if self._graph.nodes[user].op not in _UNSETTLED | _SHAPES
            ]
            if len(users) != 1 or self._data(users[0], grown):
                return
            product = users[0]

    def _backward(self, data: str) -> Iterator[str]:
        """The data, and the tensors that they are scaled from."""
        for _ in range(_MOST_STEPS):
            yield data
            node = self._graph.nodes[node_name(data)]
            inputs = self._data(node_name(data), {})
            if node.op not in ("RealDiv", "Div", "Mul", "Identity") or len(inputs) != 1:
                return
            data = inputs[0]

    def _rates(self, start: str, last: str) -> list[str]:
        """Scalars between both that come from a placeholder, a variable or an argument: rates."""
        queue, visited, rates = [last], set(), dict[str, None]()
        while queue:
            name = queue.pop()
            if name in visited:
                continue
            visited.add(name)
            for tensor in self._graph.data_inputs(name):
                if tensor != start and self._is_rate(tensor):
                    rates[tensor] = None
                elif tensor != start:
                    queue.append(node_name(tensor))
        return list(rates)

    def _is_rate(self, tensor: str) -> bool:
        """Whether it is a scalar input of the graph, or a scalar variable."""
        node = self._graph.nodes[node_name(tensor)]
        if node.op in ("Identity", "ReadVariableOp", "Enter", "RefEnter"):
            return self._is_rate(self._graph.data_inputs(node_name(tensor))[0])
        if node.op == "_Arg":
            return self._graph.shapes.get(tensor) == () and self._graph.dtype(tensor) in FLOATS
        if node.op in ("Placeholder", "VariableV2", "Variable", "VarHandleOp"):
            shape = node.attr["shape"].shape
            dtype = node.attr["dtype"].type % 100
            # Old placeholders of scalars declare an unknown shape.
            scalar = not shape.dim and (not shape.unknown_rank or node.op == "Placeholder")
            return scalar and dtype in FLOATS and not node.name.startswith(INPUT)
        return False

    def is_setting(self, tensor: str) -> bool:
        """Whether a tensor depends on neither data nor weights, but only on constants, shapes and rates."""
        if tensor in self._settings:
            return self._settings[tensor]
        queue, visited, settled = [tensor], set(), True
        while queue and settled:
            current = queue.pop()
            if self._is_rate(current) or current in visited:
                continue
            name = node_name(current)
            visited.add(current)
            op = self._graph.nodes[name].op
            if op in _SHAPES:
                continue
            settled = op not in _UNSETTLED and op not in CHANCE
            queue += self._graph.data_inputs(name)
        self._settings[tensor] = settled
        return settled
