"""Replace statistics of the batch by the moving averages that training kept of them.

Assignments tell which average belongs to which statistic: an assignment that moves a variable by a share of
the way to a statistic, found by running it with chosen values, averages that statistic. Of several, such as
those of batch renormalization, it is the one that the network does not read in training. Names are not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.recorded.assignments import (
    MOST_LOOKED_AT,
    Assignment,
    initial_value,
    shape_of,
    starts_of,
    variable_of,
)
from redraw.recorded.chance import Replacement
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import ASSIGNMENTS, BATCH_NORM, VARIABLES
from redraw.recorded.running import CannotBeRun

# Some networks multiply the batch's variance by (n - 1) / n before averaging.
_CORRECTION = 0.2


@dataclass(frozen=True, kw_only=True)
class Average:
    """A variable that keeps a moving average.

    Attributes:
        variable: The variable's node.
        statistic: The tensor of the network that it averages.
        assignment: The operation that updates it.
        share: The share of the way that an update moves it; 0 for the unbiased form of another average.
        initial: Its initial value, if that is a constant.
    """

    variable: str
    statistic: str
    assignment: str
    share: float
    initial: Any = None


def find_averages(graph: Graph, outputs: list[str], data: set[str]) -> dict[str, list[Average]]:
    """Find the moving averages of tensors that the network computes from its data.

    Args:
        graph: The graph, cut at its inputs.
        outputs: Its output tensors.
        data: The nodes that depend on the data.

    Returns:
        Statistic to its averages.
    """
    forward = {name for name in graph.reach(outputs) if name in data}
    averages: dict[str, list[Average]] = {}
    by_variable: dict[str, Average] = {}
    starts = starts_of(graph)
    assignments = [name for name, node in graph.nodes.items() if node.op in ASSIGNMENTS]
    candidates = [(name, *_inputs_of_assignment(graph, name, forward)) for name in assignments]
    # An unbiased average is computed from another average, so it comes after that.
    for name, statistics, through in sorted(candidates, key=lambda candidate: len(candidate[2])):
        variable = variable_of(graph, graph.data_inputs(name)[0])
        # If an updated resource is read again, the statistic is in that update.
        statistics = (
            statistics or [by_variable[other].statistic for other in through if other in by_variable][:1]
        )
        if variable is None or len(statistics) != 1:
            continue
        average = _recognize_average(graph, name, variable, statistics[0])
        if average is None and any(other in by_variable for other in through):
            average = _unbiased(graph, name, variable, statistics[0], by_variable, through)
        if average is not None:
            average = replace(average, initial=initial_value(graph, variable, starts))
            by_variable[variable] = average
            averages.setdefault(average.statistic, []).append(average)
    return averages


def _inputs_of_assignment(graph: Graph, assignment: str, forward: set[str]) -> tuple[list[str], list[str]]:
    """The network's tensors, and the variables, that an assigned value is computed from."""
    statistics, variables = dict[str, None](), dict[str, None]()
    queue, visited = [graph.data_inputs(assignment)[1]], set[str]()
    while queue and len(visited) < MOST_LOOKED_AT:
        tensor = graph.plain(queue.pop())
        name = node_name(tensor)
        if tensor in visited:
            continue
        visited.add(tensor)
        if name in forward:
            statistics[tensor] = None
        elif graph.nodes[name].op in VARIABLES:
            variables[name] = None
        else:
            queue += graph.data_inputs(name)
    return list(statistics), list(variables)


def _known_shape(graph: Graph, tensor: str) -> tuple[int, ...] | None:
    shape = graph.shapes.get(tensor)
    sizes = tuple(size for size in shape or () if size is not None)
    return sizes if shape is not None and len(sizes) == len(shape) else None


def _recognize_average(graph: Graph, name: str, variable: str, statistic: str) -> Average | None:
    """The average that an assignment keeps, if it moves the variable by a share towards the statistic."""
    shape, statistic_shape = shape_of(graph, variable), _known_shape(graph, statistic)
    dtype = tf.as_dtype(graph.nodes[variable].attr["dtype"].type)
    if not dtype.is_floating or statistic_shape is None or np.prod(statistic_shape) != np.prod(shape):
        return None
    rng = np.random.default_rng(7)
    try:
        assignment = Assignment(graph, name, variable, statistic)
        # Other variables that it reads are scalars: a step count, or a learned rate.
        if any(shape_of(graph, other) for other in assignment.others.values()):
            return None
        others = dict.fromkeys(assignment.others.values(), 3.0)
        runs = []
        for _ in range(2):
            old, new = rng.uniform(1, 2, shape), rng.uniform(3, 5, shape)
            runs.append((old, new, assignment.run(old, new.reshape(statistic_shape), others)))
    except (CannotBeRun, ValueError):
        return None
    old_share, share = _weights(runs)
    if old_share is None or not 0 < share <= 1.0001 or abs(old_share + share - 1) > _CORRECTION:
        return None
    return Average(
        variable=variable,
        statistic=statistic,
        assignment=name,
        share=share,
    )


def _weights(runs: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float | None, float]:
    """The shares of the old value and of the statistic in the new value; None if it is not their sum."""
    (old, new, value), (other_old, other_new, other) = runs
    determinant = old * other_new - other_old * new
    old_share = (value * other_new - other * new) / determinant
    share = (old * other - other_old * value) / determinant
    if max(np.ptp(old_share), np.ptp(share)) > 1e-3:
        return None, 0.0
    return float(old_share.mean()), float(share.mean())


def _unbiased(
    graph: Graph, name: str, variable: str, statistic: str, averages: dict[str, Average], through: list[str]
) -> Average | None:
    """The average that is another one divided by a number, which corrects its start at zero."""
    biased = next(averages[other] for other in through if other in averages)
    if biased.statistic != statistic or shape_of(graph, biased.variable) != shape_of(graph, variable):
        return None
    shape, statistic_shape = shape_of(graph, variable), _known_shape(graph, statistic)
    rng = np.random.default_rng(7)
    try:
        assignment = Assignment(graph, name, variable, statistic)
        results = []
        for size in (1.0, 2.0):
            old, start = rng.uniform(1, 2, shape), rng.uniform(3, 5, shape) * size
            others = {v: start if shape_of(graph, v) else 3.0 for v in assignment.others.values()}
            # The statistic equals the other average, so it does not matter whether that is read before
            # or after its update.
            results.append(assignment.run(old, start.reshape(statistic_shape or shape), others) / start)
    except (CannotBeRun, ValueError):
        return None
    if np.ptp(np.stack(results)) > 1e-3 or np.mean(results) <= 0:
        return None
    return Average(variable=variable, statistic=statistic, assignment=name, share=0.0)


def serve_averages(
    graph: Graph, outputs: list[str], averages: dict[str, list[Average]]
) -> tuple[list[Replacement], list[Average], list[str]]:
    """Replace the statistics that the outputs depend on by moving averages.

    Args:
        graph: The graph; it is changed.
        outputs: Its output tensors.
        averages: Statistic to its averages.

    Returns:
        The replacements, the averages used, and what could not be replaced, in words.
    """
    needed = graph.reach(outputs)
    replacements: list[Replacement] = []
    used: list[Average] = []
    refused: list[str] = []
    for statistic, candidates in averages.items():
        node = graph.nodes[node_name(statistic)]
        if node.name not in needed or (node.op in BATCH_NORM and not _trains(node)):
            continue
        unread = [average for average in candidates if average.variable not in needed] or candidates
        chosen = [a for a in unread if not a.share] or unread
        if len(chosen) != 1:
            names = ", ".join(repr(average.variable) for average in chosen)
            refused.append(f"{statistic!r} has several moving averages ({names})")
            continue
        corrected = [a.variable for a in candidates if a is not chosen[0] and a.variable in needed]
        if corrected:
            names = ", ".join(map(repr, corrected))
            refused.append(f"{statistic!r} is corrected with its own average {names} (batch renormalization)")
            continue
        used.append(chosen[0])
        replacements.append(_replace_statistic(graph, chosen[0]))
    for name in graph.reach(outputs):
        if graph.nodes[name].op in BATCH_NORM and _trains(graph.nodes[name]):
            refused += _use_averages(graph, name, {average.statistic: average for average in used})
    return replacements, used, refused


def _trains(node: Any) -> bool:
    return bool(node.attr["is_training"].b) if "is_training" in node.attr else True


def _replace_statistic(graph: Graph, average: Average) -> Replacement:
    value = _read_variable(graph, average.variable)
    shape = graph.shapes[average.statistic]
    if shape != shape_of(graph, average.variable):
        size = graph.add_constant(f"{average.variable}/served/shape", list(shape), "int32")
        dtype = graph.nodes[average.variable].attr["dtype"].type
        value = graph.add(f"{average.variable}/served/shaped", "Reshape", [value, size], T=dtype)
    if graph.nodes[node_name(average.statistic)].op not in BATCH_NORM:
        graph.replaced[average.statistic] = value
    how = (
        f"moves the average by {average.share:.4g} of the way" if average.share else "is its unbiased average"
    )
    return Replacement(
        kind="batch statistic",
        tensor=average.statistic,
        by=average.variable,
        evidence=f"{average.assignment!r} {how}",
    )


def _read_variable(graph: Graph, variable: str) -> str:
    dtype = graph.nodes[variable].attr["dtype"].type
    if graph.nodes[variable].op == "VarHandleOp":
        return graph.add(f"{variable}/served", "ReadVariableOp", [f"{variable}:0"], dtype=dtype)
    return graph.add(f"{variable}/served", "Identity", [f"{variable}:0"], T=dtype)


def _use_averages(graph: Graph, name: str, used: dict[str, Average]) -> list[str]:
    """Let a fused batch normalization use its averages; return the reasons if it cannot."""
    lacking = [what for number, what in ((1, "mean"), (2, "variance")) if f"{name}:{number}" not in used]
    if lacking:
        return [
            f"{name!r} normalizes with the batch's statistics, and has no moving average of its"
            f" {' and '.join(lacking)}"
        ]
    averages = [_read_variable(graph, used[f"{name}:{number}"].variable) for number in (1, 2)]
    node = type(graph.nodes[name])()
    node.CopyFrom(graph.nodes[name])
    node.attr["is_training"].b = False
    node.attr.pop("exponential_avg_factor", None)
    graph.nodes[name] = node
    graph.inputs[name] = [*graph.inputs[name][:3], *averages]
    return []
