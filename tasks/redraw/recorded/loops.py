"""Leave in `While` loops the variables that inference needs: gradients add lists of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redraw.recorded.functions import Body, fresh_name, open_body
from redraw.recorded.graph import Graph, node_name

_LOOPS = {"While", "StatelessWhile"}


def prune_loops(graph: Graph, outputs: list[str]) -> int:
    """Take the variables out of loops that nothing which is served depends on.

    Args:
        graph: The graph; its loops are others afterwards.
        outputs: What is asked of it.

    Returns:
        How many variables are gone.
    """
    reached = graph.reach(outputs)
    read = {tensor for name in reached for tensor in graph.data_inputs(name)}
    read |= {graph.resolve(tensor) for tensor in outputs}
    gone = 0
    for name in reached:
        node = graph.nodes[name]
        if node.op not in _LOOPS:
            continue
        bodies = {key: open_body(graph, node.attr[key].func.name) for key in ("cond", "body")}
        used = {int(tensor.rpartition(":")[2]) for tensor in read if node_name(tensor) == name}
        carried = sorted(_carried(bodies, used))
        count = len(bodies["body"].arguments)
        if len(carried) < count:
            _prune(graph, name, bodies, carried)
            gone += count - len(carried)
    return gone


def _carried(bodies: Mapping[str, Body], used: set[int]) -> set[int]:
    """The variables that decide what is used of a loop."""
    condition, body = bodies["cond"], bodies["body"]
    numbers = {node_name(argument): number for number, argument in enumerate(body.arguments)}
    places = {node_name(argument): number for number, argument in enumerate(condition.arguments)}
    asked = [places[name] for name in condition.graph.reach(condition.returned) if name in places]
    queue = list(dict.fromkeys([*used, *asked]))
    carried = set(queue)
    for number in queue:
        for name in body.graph.reach(body.returned[number : number + 1]):
            if name in numbers and numbers[name] not in carried:
                carried.add(numbers[name])
                queue.append(numbers[name])
    return carried


def _prune(graph: Graph, name: str, bodies: Mapping[str, Body], carried: Sequence[int]) -> None:
    node = type(graph.nodes[name])()
    node.CopyFrom(graph.nodes[name])
    node.name = f"{name}/served"
    for key, body in bodies.items():
        fresh = fresh_name(graph, node.attr[key].func.name)
        graph.functions[fresh] = body.close(fresh, carried, carried if key == "body" else None)
        node.attr[key].func.name = fresh
    types, shapes = node.attr["T"].list.type, node.attr["output_shapes"].list.shape
    types[:] = [types[number] for number in carried]
    if shapes:
        kept = [shapes[number] for number in carried]
        del node.attr["output_shapes"].list.shape[:]
        node.attr["output_shapes"].list.shape.extend(kept)
    for attribute in ("_num_original_outputs", "_read_only_resource_inputs", "_stateful_parallelism"):
        node.attr.pop(attribute, None)
    inputs = graph.data_inputs(name)
    node.input[:] = [inputs[number] for number in carried]
    graph.take(node)
    for place, number in enumerate(carried):
        graph.replaced[f"{name}:{number}"] = f"{node.name}:{place}"
