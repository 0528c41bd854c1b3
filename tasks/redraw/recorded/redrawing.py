"""Redraw a recording for inference, without the operations that only trained it."""

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
class Selection:
    """The part of a recording to serve.

    Attributes:
        inputs: Input name to the tensor that a request replaces, and its shape.
        outputs: Output name to tensor.
        constants: Tensor to its new, constant value.
        random_ops: Kinds of random operations to keep.
    """

    inputs: Mapping[str, tuple[str, Shape]]
    outputs: Mapping[str, str]
    constants: Mapping[str, Any] = field(default_factory=dict)
    random_ops: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """A redrawn graph.

    Attributes:
        graph: Its nodes, with replacements.
        recorded: How many operations the recording has.
        inputs: Input name to the tensor of its placeholder.
        outputs: Output name to tensor.
        variables: The variables that it reads.
        unserved: The variables that only training needs.
        replaced: The replaced tensors, with reasons.
        averages: The moving averages that replace statistics of the batch.
        tables: Its lookup tables.
        counts: Kind of change to how often it was made.
        grown: Output tensor to its shapes for two numbers of rows.
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
    """The unchanged graph of a recording."""
    definition = recording.meta_graph.graph_def
    functions = {function.signature.name: function for function in definition.library.function}
    return Graph(definition.node, functions, str(recording.uri))


def redraw_recording(recording: Recording, selection: Selection) -> Redrawn:
    """Redraw a recorded graph for inference.

    Args:
        recording: The recording; it is not changed.
        selection: The part to serve.

    Returns:
        The graph, with a list of the changes.

    Raises:
        InvalidDefinition: It names tensors that the recording does not have, or the graph has
            operations that cannot be served; the message names all of them.
    """
    started = time.monotonic()
    graph = open_graph(recording)
    outputs = [graph.demand_tensor(name, "output") for name in selection.outputs.values()]
    fix_constants(graph, selection.constants)
    inputs = {name: _cut(graph, name, *cut) for name, cut in selection.inputs.items()}
    counts = Counter(constants=len(selection.constants))
    counts["training flags"] = fix_flags(graph)
    counts += _simplify(graph, outputs)
    demand_known((graph.nodes[n] for n in graph.reach(outputs)), graph.functions, graph.where)
    shapes = {f"{INPUT}{name}:0": shape for name, (_, shape) in selection.inputs.items()}
    fixed = _recorded_batch(graph, selection)
    # Constants may contain the batch's size, so pieces run with the recorded one.
    graph.shapes = infer_shapes(graph, outputs, {**shapes, **fixed})
    replaced, averages = _infer(graph, outputs, selection.random_ops)
    counts["freed constants"] += _free_rows(graph, outputs, fixed)
    mixing, grown = mixing_rows(graph, outputs, shapes)
    _refuse(graph, mixing)
    needed = graph.reach(outputs)
    variables, unserved = _saved_variables(recording, needed)
    counts += Counter(replacement.kind for replacement in replaced)
    logger.info(
        "redrew %s: %d of %d operations in %.1f s; %s",
        recording.uri,
        len(needed),
        len(graph.nodes),
        time.monotonic() - started,
        ", ".join(f"{count} {what}" for what, count in counts.items() if count),
    )
    return Redrawn(
        graph=graph,
        recorded=len(recording.meta_graph.graph_def.node),
        inputs=inputs,
        outputs=dict(zip(selection.outputs, outputs, strict=True)),
        variables=variables,
        unserved=unserved,
        replaced=replaced,
        averages=averages,
        tables=find_tables(graph, outputs),
        counts=dict(counts),
        grown=grown,
    )


def _saved_variables(
    recording: Recording, needed: Collection[str]
) -> tuple[tuple[SavedVariable, ...], tuple[SavedVariable, ...]]:
    """The variables that are served, and those that only training needs."""
    graph = open_graph(recording)
    names = [name for name, node in graph.nodes.items() if node.op in VARIABLES]
    saved = find_saved(graph, recording.meta_graph.saver_def, names)
    served = {variable.key for variable in saved if variable.node in needed}
    return (
        tuple(variable for variable in saved if variable.node in needed),
        tuple(variable for variable in saved if variable.key not in served),
    )


def _infer(
    graph: Graph, outputs: list[str], random_ops: tuple[str, ...]
) -> tuple[tuple[Replacement, ...], tuple[Average, ...]]:
    """Replace statistics of the batch by averages and remove randomness, or refuse the graph."""
    averages = find_averages(graph, outputs, data_nodes(graph))
    served, used, refused = serve_averages(graph, outputs, averages)
    removed, problems = remove_chance(graph, outputs, random_ops)
    inner, others = redraw_bodies(graph, outputs, random_ops)
    _refuse(
        graph, [*refused, *problems, *others, *_unserveable(graph, outputs), *unknown_flags(graph, outputs)]
    )
    return (*served, *removed, *inner), tuple(used)


def _free_rows(graph: Graph, outputs: list[str], fixed: Mapping[str, Shape]) -> int:
    """Free constants with the recorded number of rows; return how many."""
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
            f"{graph.where}: input {name!r}: expected a tensor that is not in constants, got {tensor!r},"
            " which is. Remove it from inputs or from constants."
        )
    dtype = graph.dtype(cut) % 100
    placeholder = graph.add(f"{INPUT}{name}", "Placeholder", dtype=dtype)
    graph.nodes[f"{INPUT}{name}"].attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    graph.replaced[cut] = placeholder
    return placeholder


def _simplify(graph: Graph, outputs: list[str]) -> Counter[str]:
    """Resolve defaults, calls and branches until nothing more can be resolved."""
    counts: Counter[str] = Counter()
    while True:
        for name in graph.reach(outputs):
            if graph.nodes[name].op in _DEFAULTED:
                graph.replaced[f"{name}:0"] = graph.data_inputs(name)[0]
        resolved = inline_calls(graph, outputs)
        resolved["branches"] += resolve_branches(graph, outputs)
        counts += resolved
        if not resolved.total():
            return counts


def recorded_shape(graph: Graph, tensor: str) -> Shape:
    """A tensor's shape according to the recording; None if it does not say."""
    node = graph.nodes[node_name(tensor)]
    number = int(full_name(tensor).rpartition(":")[2])
    for attribute in ("_output_shapes", "output_shapes"):
        shapes = node.attr[attribute].list.shape if attribute in node.attr else ()
        if number < len(shapes):
            return _sizes(shapes[number])
    return _sizes(node.attr["shape"].shape) if "shape" in node.attr else None


def _sizes(shape: Any) -> Shape:
    return None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)


def _recorded_batch(graph: Graph, selection: Selection) -> dict[str, Shape]:
    """The inputs' shapes with the recorded number of rows."""
    fixed: dict[str, Shape] = {}
    for name, (tensor, shape) in selection.inputs.items():
        recorded = recorded_shape(graph, full_name(tensor))
        if recorded and shape and shape[0] is None and len(recorded) == len(shape) and recorded[0]:
            fixed[f"{INPUT}{name}:0"] = tuple(
                size or recorded_size for size, recorded_size in zip(shape, recorded, strict=True)
            )
    return fixed


def _unserveable(graph: Graph, outputs: list[str]) -> list[str]:
    """Messages for operations that the outputs need and no server can run."""
    problems = []
    for name in graph.reach(outputs):
        op = graph.nodes[name].op
        if op in SOURCES and not name.startswith(INPUT):
            problems.append(
                f"the outputs depend on {op} {name!r}: name it in inputs, or set it in constants (redraw"
                f" draft --set {name}=VALUE)"
            )
        elif op in HOST:
            problems.append(
                f"the outputs depend on {op} {name!r}, which runs outside of the graph: choose"
                " an input after it"
            )
        elif op in ASSIGNMENTS:
            problems.append(f"the outputs depend on {op} {name!r}, which updates a variable")
    return problems


def _refuse(graph: Graph, problems: list[str]) -> None:
    if problems:
        description = short_list(problems, "what no server could run", _SHOWN, "; ")
        raise InvalidDefinition(
            f"{graph.where}: expected a graph that can be served, got: {description}."
            " Choose other inputs, outputs or constants, or write the model as a definition."
        )
