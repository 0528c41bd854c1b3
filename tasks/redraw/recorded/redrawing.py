"""Redraw a recording: what answers requests, and nothing of what trained it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from redraw.errors import InvalidDefinition, short_list
from redraw.recorded.batch import data_nodes, free_batch, mixing_rows
from redraw.recorded.bodies import free_bodies, redraw_bodies
from redraw.recorded.branches import inline_calls, resolve_branches
from redraw.recorded.chance import Replacement, remove_chance
from redraw.recorded.flags import fix_constants, fix_flags, unknown_flags
from redraw.recorded.graph import INPUT, Graph, full_name
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import ASSIGNMENTS, HOST, SOURCES, VARIABLES, demand_known
from redraw.recorded.reading import Recording
from redraw.recorded.shapes import Shape, infer_shapes
from redraw.recorded.statistics import Average, find_averages, serve_averages
from redraw.recorded.tables import Table, find_tables
from redraw.recorded.variables import SavedVariable, find_saved

logger = logging.getLogger(__name__)

_SHOWN = 8
_DEFAULTED = {"PlaceholderWithDefault", "Print"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be served of a recording.

    Attributes:
        inputs: Input name to the tensor that a request gives, and its shape.
        outputs: Output name to tensor.
        constants: Tensor to the value that it has from now on.
        kept: Kinds of random operations that stay.
    """

    inputs: Mapping[str, tuple[str, Shape]]
    outputs: Mapping[str, str]
    constants: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """A redrawn graph.

    Attributes:
        graph: Its nodes, and what replaces what.
        recorded: How many operations the recording has.
        inputs: Input name to the tensor of its placeholder.
        outputs: Output name to tensor.
        variables: The variables that it reads.
        unserved: The variables that only training needs.
        replaced: What took which tensor's place, and why.
        averages: The moving averages that are served for statistics of the batch.
        tables: Its lookup tables.
        counts: What was done how many times.
        grown: Output tensor to the shapes that it has for two numbers of rows.
    """

    graph: Graph
    recorded: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    variables: tuple[SavedVariable, ...]
    unserved: tuple[SavedVariable, ...]
    replaced: tuple[Replacement, ...]
    averages: tuple[Average, ...]
    tables: tuple[Table, ...]
    counts: Mapping[str, int]
    grown: Mapping[str, tuple[Shape, Shape]] = field(default_factory=dict)


def open_graph(recording: Recording) -> Graph:
    """The graph of a recording, as it was recorded."""
    definition = recording.meta_graph.graph_def
    functions = {function.signature.name: function for function in definition.library.function}
    return Graph(definition.node, functions, str(recording.uri))


def redraw_recording(recording: Recording, asked: Asked) -> Redrawn:
    """Redraw a recorded graph for inference.

    Args:
        recording: The recording; it is not changed.
        asked: What is to be served.

    Returns:
        The graph, with what was done to it.

    Raises:
        InvalidDefinition: It names tensors that the recording does not have, or something in it can
            be served in no form that training did not define: all of it is named.
    """
    started = time.monotonic()
    graph = open_graph(recording)
    outputs = [graph.demand_tensor(name, "output") for name in asked.outputs.values()]
    fix_constants(graph, asked.constants)
    inputs = {name: _cut(graph, name, *cut) for name, cut in asked.inputs.items()}
    counts = Counter(constants=len(asked.constants))
    counts["training flags"] = fix_flags(graph)
    counts += _straighten(graph, outputs)
    demand_known((graph.nodes[n] for n in graph.reach(outputs)), graph.functions, graph.where)
    shapes = {f"{INPUT}{name}:0": shape for name, (_, shape) in asked.inputs.items()}
    fixed = _recorded_batch(graph, asked)
    # Constants may hold the batch's size: pieces run with the one that was recorded.
    graph.shapes = infer_shapes(graph, outputs, {**shapes, **fixed})
    replaced, averages = _infer(graph, outputs, asked.kept)
    counts["freed constants"] += _free_rows(graph, outputs, fixed)
    mixing, grown = mixing_rows(graph, outputs, shapes)
    _refuse(graph, mixing)
    reached = graph.reach(outputs)
    variables, unserved = _saved_variables(recording, reached)
    counts += Counter(one.kind for one in replaced)
    logger.info(
        "redrew %s: %d of %d operations in %.1f s; %s", recording.uri, len(reached), len(graph.nodes),
        time.monotonic() - started, ", ".join(f"{count} {what}" for what, count in counts.items() if count),
    )  # fmt: skip
    return Redrawn(
        graph=graph,
        recorded=len(recording.meta_graph.graph_def.node),
        inputs=inputs,
        outputs=dict(zip(asked.outputs, outputs, strict=True)),
        variables=variables,
        unserved=unserved,
        replaced=replaced,
        averages=averages,
        tables=find_tables(graph, outputs),
        counts=dict(counts),
        grown=grown,
    )


def _saved_variables(
    recording: Recording, reached: Collection[str]
) -> tuple[tuple[SavedVariable, ...], tuple[SavedVariable, ...]]:
    """The variables that are served, and those that only training needs."""
    graph = open_graph(recording)
    names = [name for name, node in graph.nodes.items() if node.op in VARIABLES]
    saved = find_saved(graph, recording.meta_graph.saver_def, names)
    served = {one.key for one in saved if one.node in reached}
    return (
        tuple(one for one in saved if one.node in reached),
        tuple(one for one in saved if one.key not in served),
    )


def _infer(
    graph: Graph, outputs: list[str], kept: tuple[str, ...]
) -> tuple[tuple[Replacement, ...], tuple[Average, ...]]:
    """Serve averages for statistics of the batch, and leave chance out; refuse what has no such form."""
    averages = find_averages(graph, outputs, data_nodes(graph))
    served, used, refused = serve_averages(graph, outputs, averages)
    removed, problems = remove_chance(graph, outputs, kept)
    inner, others = redraw_bodies(graph, outputs, kept)
    _refuse(
        graph, [*refused, *problems, *others, *_strangers(graph, outputs), *unknown_flags(graph, outputs)]
    )
    return (*served, *removed, *inner), tuple(used)


def _free_rows(graph: Graph, outputs: list[str], fixed: Mapping[str, Shape]) -> int:
    """Free constants of the number of rows that was recorded; returns how many."""
    sizes = {shape[0] for shape in fixed.values() if shape and shape[0]}
    return sum(
        free_batch(graph, outputs, size, graph.shapes) + free_bodies(graph, outputs, size) for size in sizes
    )


def _cut(graph: Graph, name: str, tensor: str, shape: Shape) -> str:
    cut = graph.demand_tensor(tensor, "input")
    if graph.replaced.get(cut, "").startswith(INPUT):
        return graph.replaced[cut]  # another signature's input is the same tensor
    if cut in graph.replaced:
        raise InvalidDefinition(
            f"{graph.where}: input {name!r}: expected a tensor of its own, got {tensor!r}, which is fixed."
            " Correct inputs and constants."
        )
    dtype = graph.dtype(cut) % 100
    placeholder = graph.add(f"{INPUT}{name}", "Placeholder", dtype=dtype)
    graph.nodes[f"{INPUT}{name}"].attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    graph.replaced[cut] = placeholder
    return placeholder


def _straighten(graph: Graph, outputs: list[str]) -> Counter[str]:
    """Put constants, branches and calls in order, until nothing more is known."""
    counts: Counter[str] = Counter()
    while True:
        for name in graph.reach(outputs):
            if graph.nodes[name].op in _DEFAULTED:
                graph.replaced[f"{name}:0"] = graph.data_inputs(name)[0]
        done = inline_calls(graph, outputs)
        done["branches"] += resolve_branches(graph, outputs)
        counts += done
        if not done.total():
            return counts


def recorded_shape(graph: Graph, tensor: str) -> Shape:
    """The shape that the recording says a tensor has; None where it does not say."""
    node = graph.nodes[node_name(tensor)]
    number = int(full_name(tensor).rpartition(":")[2])
    for attribute in ("_output_shapes", "output_shapes"):
        shapes = node.attr[attribute].list.shape if attribute in node.attr else ()
        if number < len(shapes):
            return _sizes(shapes[number])
    return _sizes(node.attr["shape"].shape) if "shape" in node.attr else None


def _sizes(shape: Any) -> Shape:
    return None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)


def _recorded_batch(graph: Graph, asked: Asked) -> dict[str, Shape]:
    """The inputs' shapes with the number of rows that the recording says they had."""
    fixed: dict[str, Shape] = {}
    for name, (tensor, shape) in asked.inputs.items():
        recorded = recorded_shape(graph, full_name(tensor))
        if recorded and shape and shape[0] is None and len(recorded) == len(shape) and recorded[0]:
            fixed[f"{INPUT}{name}:0"] = tuple(
                one or other for one, other in zip(shape, recorded, strict=True)
            )
    return fixed


def _strangers(graph: Graph, outputs: list[str]) -> list[str]:
    """What the outputs need that no request gives and no server has."""
    found = []
    for name in graph.reach(outputs):
        op = graph.nodes[name].op
        if op in SOURCES and not name.startswith(INPUT):
            found.append(
                f"the outputs need {op} {name!r}: name it in inputs, or set it in constants (draft: --set"
                f" {name}=VALUE)"
            )
        elif op in HOST:
            found.append(f"the outputs need {op} {name!r}, which runs outside of the graph: cut behind it")
        elif op in ASSIGNMENTS:
            found.append(f"the outputs need {op} {name!r}, which updates a variable")
    return found


def _refuse(graph: Graph, problems: list[str]) -> None:
    if problems:
        shown = short_list(problems, "what no server could run", _SHOWN, "; ")
        raise InvalidDefinition(
            f"{graph.where}: expected a graph that can be served, got: {shown}."
            " Choose other inputs, outputs or constants, or write the model as a definition."
        )
