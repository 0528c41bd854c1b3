"""Redraw the functions of loops and branches of control flow v2: `While`, `If`, `Case`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.errors import InvalidDefinition
from redraw.recorded.batch import free_hints, free_reshape
from redraw.recorded.branches import inline_calls, resolve_branches
from redraw.recorded.chance import Replacement, remove_chance
from redraw.recorded.functions import Body, fresh_name, open_body, original_name
from redraw.recorded.graph import Graph, copied
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import BATCH_NORM, CHANCE
from redraw.recorded.running import known_value
from redraw.recorded.shapes import infer_shapes

# Operation to the attributes that name its functions, and the first input that is an argument of them.
_RUNS = {
    "While": (("cond", "body"), 0),
    "StatelessWhile": (("cond", "body"), 0),
    "If": (("then_branch", "else_branch"), 1),
    "StatelessIf": (("then_branch", "else_branch"), 1),
    "Case": (("branches",), 1),
    "StatelessCase": (("branches",), 1),
}
_SMALL = 16
_LOOPS = {"While", "StatelessWhile"}


def redraw_bodies(
    graph: Graph, outputs: list[str], allowed: tuple[str, ...]
) -> tuple[list[Replacement], list[str]]:
    """Remove randomness from the functions that a graph's loops and branches run.

    Args:
        graph: The graph; its nodes get changed copies of these functions.
        outputs: Its output tensors.
        allowed: Kinds of random operations that the definition serves.

    Returns:
        The replacements, and what could not be replaced, in words.
    """
    replacements: list[Replacement] = []
    refused: list[str] = []
    _prune_loops(graph, outputs)
    needed = graph.reach(outputs)
    tensors_read = {tensor for name in needed for tensor in graph.data_inputs(name)}
    tensors_read |= {graph.resolve(tensor) for tensor in outputs}
    for name in [name for name in needed if graph.nodes[name].op in _RUNS]:
        node = graph.nodes[name] = copied(graph.nodes[name])
        attributes, first = _RUNS[node.op]
        used = {int(t.rpartition(":")[2]) for t in tensors_read if node_name(t) == name}
        for function in _functions(node, attributes):
            if _has_chance(graph, function.name):
                inner, problems = _redraw(graph, name, function, first, used, allowed)
                replacements += inner
                refused += problems
    return replacements, refused


def _drop_unused_outputs(body: Body, used: set[int]) -> None:
    """Replace a branch's unused outputs by zeros."""
    for number, tensor in enumerate(body.returned):
        dtype = tf.as_dtype(body.graph.dtype(tensor))
        if number not in used and dtype.is_numpy_compatible and dtype.name not in ("variant", "resource"):
            zero = np.zeros((), dtype.as_numpy_dtype) if dtype != tf.string else b""
            body.returned[number] = body.graph.add_constant(f"unused_{number}", zero, dtype)


def free_bodies(graph: Graph, outputs: list[str], size: int) -> int:
    """Free the batch's size in the functions that loops and branches run.

    Args:
        graph: The graph; its nodes get changed copies of these functions.
        outputs: Its output tensors.
        size: The batch's size when it was recorded.

    Returns:
        How many constants and hints were freed.
    """
    freed = 0
    for name in [name for name in graph.reach(outputs) if graph.nodes[name].op in _RUNS]:
        node = graph.nodes[name] = copied(graph.nodes[name])
        for function in _functions(node, _RUNS[node.op][0]):
            body = open_body(graph, function.name)
            inner = body.graph
            count = sum(free_hints(inner, n, size) for n in inner.reach(body.returned))
            count += sum(free_reshape(inner, n, size) for n in inner.reach(body.returned))
            count += free_bodies(inner, body.returned, size)
            if count:
                fresh = fresh_name(graph, function.name)
                graph.functions[fresh] = body.close(fresh)
                function.name = fresh
            freed += count
    return freed


def _functions(node: Any, attributes: tuple[str, ...]) -> list[Any]:
    functions = []
    for attribute in attributes:
        value = node.attr[attribute]
        functions += list(value.list.func) if attribute == "branches" else [value.func]
    return functions


def _has_chance(graph: Graph, function: str) -> bool:
    """Whether a function, or one that it calls, has operations that only training needs."""
    part = Graph([], graph.functions, graph.where)
    queue = [function]
    for name in queue:
        for node in graph.functions[name].node_def if name in graph.functions else ():
            if node.op in CHANCE or node.op in BATCH_NORM:
                return True
            calls = [node.op, *(value.func.name for value in node.attr.values())]
            calls += [
                function_value.name for value in node.attr.values() for function_value in value.list.func
            ]
            queue += [call for call in calls if call in part.functions and call not in queue]
    return False


def _redraw(
    graph: Graph, name: str, function: Any, first: int, used: set[int], allowed: tuple[str, ...]
) -> tuple[list[Replacement], list[str]]:
    body = open_body(graph, function.name)
    inputs = graph.data_inputs(name)[first:]
    if first:
        _drop_unused_outputs(body, used)
    _give_known(graph, body, inputs, loops=first == 0)
    _give_shapes(graph, body, name, inputs)
    inline_calls(body.graph, body.returned)
    resolve_branches(body.graph, body.returned)
    replacements, refused = remove_chance(body.graph, body.returned, allowed)
    inner, problems = redraw_bodies(body.graph, body.returned, allowed)
    trains = [
        f"{n!r} normalizes with the batch's statistics inside a function"
        for n in body.graph.reach(body.returned)
        if body.graph.nodes[n].op in BATCH_NORM and body.graph.nodes[n].attr["is_training"].b
    ]
    where = f" (in the function {original_name(function.name)!r} of {graph.nodes[name].op} {name!r})"
    replacements = [
        replace(replacement, function=replacement.function or original_name(function.name))
        for replacement in (*replacements, *inner)
    ]
    fresh = fresh_name(graph, function.name)
    graph.functions[fresh] = body.close(fresh)
    function.name = fresh
    return replacements, [text + where for text in (*refused, *problems, *trains)]


def _give_known(graph: Graph, body: Body, inputs: list[str], *, loops: bool) -> None:
    """Replace known arguments by constants; in a loop only those that do not change."""
    for number, (argument, tensor) in enumerate(zip(body.arguments, inputs, strict=True)):
        stays = not loops or (
            number < len(body.returned) and body.graph.plain(body.returned[number]) == argument
        )
        value = known_value(graph, tensor) if stays else None
        if value is not None and np.size(value) <= _SMALL:
            body.graph.replaced[argument] = body.graph.add_constant(f"known_{number}", value)


def _give_shapes(graph: Graph, body: Body, name: str, inputs: list[str]) -> None:
    node = graph.nodes[name]
    declared = node.attr["output_shapes"].list.shape if "output_shapes" in node.attr else ()
    shapes: dict[str, tuple[int | None, ...]] = {}
    for number, (argument, tensor) in enumerate(zip(body.arguments, inputs, strict=True)):
        shape = graph.shapes.get(tensor)
        if node.op.endswith("While") and number < len(declared):
            proto = declared[number]
            shape = None if proto.unknown_rank else tuple(None if d.size < 0 else d.size for d in proto.dim)
        if shape is not None:
            shapes[argument] = shape
    try:
        body.graph.shapes = infer_shapes(body.graph, body.returned, shapes)
    except InvalidDefinition:
        # A loop's variable may change its shape; pieces are then run with two dimensions.
        body.graph.shapes = dict(shapes)


def _prune_loops(graph: Graph, outputs: list[str]) -> int:
    """Remove variables from loops that no output depends on; return how many."""
    needed = graph.reach(outputs)
    tensors_read = {tensor for name in needed for tensor in graph.data_inputs(name)}
    tensors_read |= {graph.resolve(tensor) for tensor in outputs}
    removed = 0
    for name in needed:
        node = graph.nodes[name]
        if node.op not in _LOOPS:
            continue
        bodies = {key: open_body(graph, node.attr[key].func.name) for key in ("cond", "body")}
        used = {int(tensor.rpartition(":")[2]) for tensor in tensors_read if node_name(tensor) == name}
        carried = sorted(_carried(bodies, used))
        count = len(bodies["body"].arguments)
        if len(carried) < count:
            _prune(graph, name, bodies, carried)
            removed += count - len(carried)
    return removed


def _carried(bodies: Mapping[str, Body], used: set[int]) -> set[int]:
    """The variables that the used outputs of a loop depend on."""
    condition, body = bodies["cond"], bodies["body"]
    numbers = {node_name(argument): number for number, argument in enumerate(body.arguments)}
    places = {node_name(argument): number for number, argument in enumerate(condition.arguments)}
    read_by_condition = [places[name] for name in condition.graph.reach(condition.returned) if name in places]
    queue = list(dict.fromkeys([*used, *read_by_condition]))
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
        carried_shapes = [shapes[number] for number in carried]
        del node.attr["output_shapes"].list.shape[:]
        node.attr["output_shapes"].list.shape.extend(carried_shapes)
    for attribute in ("_num_original_outputs", "_read_only_resource_inputs", "_stateful_parallelism"):
        node.attr.pop(attribute, None)
    inputs = graph.data_inputs(name)
    node.input[:] = [inputs[number] for number in carried]
    graph.take(node)
    for place, number in enumerate(carried):
        graph.replaced[f"{name}:{number}"] = f"{node.name}:{place}"
