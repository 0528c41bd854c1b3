"""Which tensor of the bundle goes into which variable, by the graph that restores them."""

from __future__ import annotations

from collections.abc import Iterator

from redraw.serving.graph.origins import find_origins
from redraw.serving.graph.reachable import Place, Reached, node_of

_ASSIGNMENTS = {"AssignVariableOp", "Assign"}
_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}


def find_restored(restoring: Reached, arguments: dict[str, list[str]]) -> dict[str, set[str]]:
    """Follow each value that is restored to the variable that it is assigned to.

    Args:
        restoring: What the restoring operation reaches.
        arguments: Function to the names of its arguments.

    Returns:
        Tensor of the bundle to the shared names of variables; empty sets for tensors that
        are read and put nowhere.
    """
    restored: dict[str, set[str]] = {}
    for place, node in restoring.nodes.items():
        if node.op == "RestoreV2":
            for name in _names(restoring, place, node.input[1]):
                restored.setdefault(name, set())
    for place, node in restoring.nodes.items():
        if node.op in _ASSIGNMENTS:
            variables = find_origins(restoring, arguments, place.function, node.input[0])
            for key in _restored_keys(restoring, place.function, node.input[1]):
                restored.setdefault(key, set()).update(_shared_names(restoring, variables))
    return restored


def _names(restoring: Reached, place: Place, tensor: str) -> list[str]:
    node = restoring.nodes.get(Place(place.function, node_of(tensor)))
    return [text.decode() for text in node.attr["value"].tensor.string_val] if node is not None else []


def _restored_keys(restoring: Reached, function: str, tensor: str) -> Iterator[str]:
    """The key whose value a tensor is: an output of RestoreV2, perhaps copied or cast."""
    while True:
        place = Place(function, node_of(tensor))
        node = restoring.nodes.get(place)
        if node is None:
            return
        if node.op == "RestoreV2":
            number = tensor.rpartition(":")[2] if ":" in tensor else "0"
            yield _names(restoring, place, node.input[1])[int(number)]
            return
        if node.op not in ("Identity", "Cast") or not node.input:
            return
        tensor = node.input[0]


def _shared_names(restoring: Reached, variables: set[Place]) -> Iterator[str]:
    for place in variables:
        node = restoring.nodes[place]
        if node.op in _VARIABLES:
            yield node.attr["shared_name"].s.decode() or node.name
