"""Resolve branches whose condition is known: v1 `cond` (Switch, Merge), and `If` and `Case` of functions."""

from __future__ import annotations

from collections import Counter
from typing import Any

from redraw.errors import InvalidDefinition
from redraw.recorded.functions import inline
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import CALLS, MERGES, SWITCHES
from redraw.recorded.running import known_value
from redraw.recorded.sound import MOST_NESTED

_BRANCHES = {"If": ("else_branch", "then_branch"), "StatelessIf": ("else_branch", "then_branch")}
_CASES = {"Case", "StatelessCase"}
_READY = {"IsVariableInitialized", "VarIsInitializedOp"}


def resolve_branches(graph: Graph, outputs: list[str]) -> int:
    """Replace each v1 `cond` with a known condition by the branch that it takes.

    Args:
        graph: The graph; it is changed.
        outputs: Its output tensors.

    Returns:
        How many were resolved.
    """
    needed = graph.reach(outputs)
    for name in [name for name in needed if graph.nodes[name].op in _READY]:
        # A served variable has a value.
        graph.replaced[f"{name}:0"] = graph.add_constant(f"{name}/ready", True)
    dead = _dead_ends(graph, needed)
    if not dead:
        return 0
    resolved = 0
    for name in needed:
        inputs = graph.data_inputs(name)
        if graph.nodes[name].op not in MERGES or any(_comes_back(graph, tensor) for tensor in inputs):
            continue
        alive = [number for number, tensor in enumerate(inputs) if tensor not in dead]
        if len(alive) == 1 < len(inputs):
            graph.replaced[f"{name}:0"] = inputs[alive[0]]
            graph.replaced[f"{name}:1"] = graph.add_constant(f"{name}/taken", alive[0], "int32")
            resolved += 1
    return resolved


def _comes_back(graph: Graph, tensor: str) -> bool:
    return graph.nodes[node_name(tensor)].op in ("NextIteration", "RefNextIteration")


class _Dead(set[str]):
    """Tensors that never have a value."""


def _dead_ends(graph: Graph, needed: dict[str, None]) -> _Dead:
    """Follow the outputs that known switches do not take; replace the others by the switches' inputs."""
    dead, queue = _Dead(), []
    conditions: dict[str, Any] = {}
    needed = with_pivots(graph, needed)
    for name in needed:
        if graph.nodes[name].op not in SWITCHES:
            continue
        data, condition = graph.data_inputs(name)
        if condition not in conditions:
            conditions[condition] = known_value(graph, condition)
        if conditions[condition] is not None:
            branch = int(bool(conditions[condition]))
            graph.replaced[f"{name}:{branch}"] = data
            dead.add(f"{name}:{1 - branch}")
            queue.append(f"{name}:{1 - branch}")
    users = graph.users(needed, controls=True)
    while queue:
        for user in users[node_name(queue.pop())]:
            outputs = [f"{user}:{number}" for number in range(_most_outputs(graph, user))]
            if outputs[0] not in dead and _is_dead(graph, user, dead):
                dead.update(outputs)
                queue += outputs[:1]
    return dead


def with_pivots(graph: Graph, needed: dict[str, None]) -> dict[str, None]:
    """Add the switches that decide a constant's branch only by a control dependency."""
    nodes = dict(needed)
    for name in needed:
        for pivot in graph.controls[name]:
            while (
                pivot in graph.nodes
                and pivot not in nodes
                and graph.nodes[pivot].op in {"Identity"} | SWITCHES
            ):
                nodes[pivot] = None
                pivot = node_name(graph.inputs[pivot][0])  # noqa: PLW2901 - the next one up
    return nodes


def _most_outputs(graph: Graph, name: str) -> int:
    return 2 if graph.nodes[name].op in SWITCHES | MERGES else 8


def _is_dead(graph: Graph, name: str, dead: set[str]) -> bool:
    inputs = graph.data_inputs(name)
    if graph.nodes[name].op in MERGES:
        return all(tensor in dead for tensor in inputs)
    return any(tensor in dead for tensor in inputs) or any(f"{c}:0" in dead for c in graph.controls[name])


def inline_calls(graph: Graph, outputs: list[str]) -> Counter[str]:
    """Inline the functions of calls, and of `If` and `Case` with a known condition.

    Args:
        graph: The graph; it is changed.
        outputs: Its output tensors.

    Returns:
        How many branches and calls were inlined.
    """
    counts: Counter[str] = Counter()
    for _ in range(MOST_NESTED):
        before = counts.total()
        for name in graph.reach(outputs):
            function, first = _callee(graph, name)
            if function:
                inline(graph, name, function, graph.data_inputs(name)[first:])
                counts["branches" if first else "calls"] += 1
        if counts.total() == before:
            return counts
    raise InvalidDefinition(
        f"{graph.where}: expected functions nested at most {MOST_NESTED} deep, got more, because a function"
        " calls itself. Write the model as a definition."
    )


def _callee(graph: Graph, name: str) -> tuple[str, int]:
    """The function to inline for a node, and the input that is its first argument."""
    node = graph.nodes[name]
    if f"{name}:0" in graph.replaced:
        return "", 0
    if node.op in CALLS:
        return str(node.attr["f"].func.name), 0
    if node.op in graph.functions:
        return str(node.op), 0
    if node.op in _BRANCHES or node.op in _CASES:
        value = known_value(graph, graph.data_inputs(name)[0])
        if value is None:
            return "", 0
        if node.op in _BRANCHES:
            return str(node.attr[_BRANCHES[node.op][int(bool(value))]].func.name), 1
        branches = node.attr["branches"].list.func
        index = int(value)
        return str(branches[index if 0 <= index < len(branches) else -1].name), 1
    return "", 0
