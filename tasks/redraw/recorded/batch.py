"""Free the batch dimension, and find what still mixes the rows of a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from redraw.recorded.graph import INPUT, Graph, copied
from redraw.recorded.nodes import node_name
from redraw.recorded.operations import FLOATS, INTEGERS, LOOP_JOINTS
from redraw.recorded.running import known_value
from redraw.recorded.shapes import Shape, infer_shapes

_MEANS = {"Mean", "Sum", "SegmentMean"}
_SHAPED = {"Reshape"}
# Which input, and which attributes, say what shape something will have.
_ELEMENT_SHAPES = {
    "TensorListReserve": 0, "EmptyTensorList": 0, "TensorListStack": 1, "TensorListGetItem": 2,
    "TensorListFromTensor": 1, "TensorListGather": 2,
}  # fmt: skip
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")
_HINTS = {
    "EnsureShape": ("shape",), "TensorArrayV3": ("element_shape",), "TensorArrayGatherV3": ("element_shape",),
    "PlaceholderWithDefault": ("shape",), **dict.fromkeys(_LOOPS, ("output_shapes",)),
}  # fmt: skip
_OF_SHAPE_ALONE = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
# Sizes that no layer is likely to have, and none of which is a multiple of another.
TRIED = (23, 29)
_OTHER_SIZE = 7


def data_nodes(graph: Graph) -> set[str]:
    """The nodes whose values the inputs decide, not only their shapes."""
    users = graph.users(graph.nodes)
    queue = [name for name in graph.nodes if name.startswith(INPUT)]
    seen = set(queue)
    for name in queue:
        for user in users[name]:
            if user not in seen and graph.nodes[user].op not in _OF_SHAPE_ALONE:
                seen.add(user)
                queue.append(user)
    return seen


def free_batch(graph: Graph, outputs: list[str], size: int, shapes: Mapping[str, Shape]) -> int:
    """Free a batch size that training fixed, where constants hold it.

    Args:
        graph: The graph; it is changed.
        outputs: What is asked of it.
        size: The batch's size when it was recorded.
        shapes: Tensor to its shape with that size, of those whose rank is known.

    Returns:
        How many constants were freed.
    """
    data = data_nodes(graph)
    freed = 0
    batch: str | None = None
    for name in graph.reach(outputs):
        op = graph.nodes[name].op
        inputs = graph.data_inputs(name)
        freed += free_hints(graph, name, size)
        if op in _SHAPED:
            freed += free_reshape(graph, name, size, shapes) if node_name(inputs[0]) in data else 0
        elif op == "Fill" and (dims := known_value(graph, inputs[0])) is not None and _leads(dims, size):
            batch = batch or _batch_size(graph)
            shape_of = _with_batch(graph, f"{name}/freed_dims", batch, dims[1:])
            graph.inputs[name] = [shape_of, inputs[1]]
            _set_type(graph, name, "index_type", 3)
            freed += 1
        else:
            for number, tensor in enumerate(inputs):
                rows = _equal_rows(graph, tensor, size, shapes, name, data)
                if rows is not None:
                    batch = batch or _batch_size(graph)
                    graph.inputs[name][number] = _repeated(graph, f"{name}/freed_{number}", rows, batch)
                    freed += 1
    return freed


def free_hints(graph: Graph, name: str, size: int) -> int:
    """Free what only says which shape a tensor will have: nothing is computed of it.

    Args:
        graph: The graph; it is changed.
        name: A node.
        size: The batch's size when it was recorded.

    Returns:
        How many were freed.
    """
    node, freed = graph.nodes[name], 0
    place = _ELEMENT_SHAPES.get(node.op)
    hint = known_value(graph, graph.data_inputs(name)[place]) if place is not None else None
    if place is not None and hint is not None and size in np.atleast_1d(hint):
        loose = np.where(hint == size, -1, hint).astype(hint.dtype)
        graph.inputs[name] = graph.data_inputs(name)
        graph.inputs[name][place] = graph.add_constant(f"{name}/freed_hint", loose)
        freed += 1
    for attribute in _HINTS.get(node.op, ()):
        value = node.attr[attribute]
        shapes = [value.shape, *value.list.shape]
        if any(dim.size == size for shape in shapes for dim in shape.dim):
            node = graph.nodes[name] = copied(node)
            value = node.attr[attribute]
            for shape in [value.shape] if value.HasField("shape") else value.list.shape:
                for dim in shape.dim:
                    dim.size = -1 if dim.size == size else dim.size
            freed += 1
    return freed


def _leads(dims: np.ndarray, size: int) -> bool:
    return dims.ndim == 1 and dims.size > 0 and int(dims[0]) == size


def _set_type(graph: Graph, name: str, attribute: str, dtype: int) -> None:
    graph.nodes[name] = copied(graph.nodes[name])
    graph.nodes[name].attr[attribute].type = dtype


def free_reshape(graph: Graph, name: str, size: int, shapes: Mapping[str, Shape] | None = None) -> int:
    """Let a Reshape whose constant holds the batch's size take any; returns how many were freed."""
    inputs = graph.data_inputs(name)
    if graph.nodes[name].op not in _SHAPED:
        return 0
    shape = _freed_shape(graph, inputs, size, shapes or {})
    if shape is None:
        return 0
    graph.inputs[name] = [inputs[0], graph.add_constant(f"{name}/freed_shape", shape, "int32")]
    _set_type(graph, name, "Tshape", 3)
    return 1


def _freed_shape(graph: Graph, inputs: list[str], size: int, shapes: Mapping[str, Shape]) -> list[int] | None:
    """The shape that a Reshape asks for, with -1 for what grows with the batch."""
    asked = known_value(graph, inputs[1])
    if asked is None or asked.ndim != 1 or not asked.size or int(asked[0]) <= 0 or int(asked[0]) % size:
        return None
    rest = [int(value) for value in asked[1:]]
    given = _elements(shapes.get(inputs[0]))
    if -1 in rest:
        if given is None:
            return None
        rest[rest.index(-1)] = given // (math.prod(value for value in rest if value != -1) * int(asked[0]))
    elif given is not None and given != int(asked[0]) * math.prod(rest):
        return None
    return [-1, *rest]


def _elements(shape: Shape | None) -> int | None:
    """How many elements there are; None where a size is unknown."""
    sizes = [size for size in shape or () if size is not None]
    return math.prod(sizes) if shape is not None and len(sizes) == len(shape) else None


def _batch_size(graph: Graph) -> str:
    """The number of rows of what is asked, int32."""
    first = min(name for name in graph.nodes if name.startswith(INPUT))
    dtype = graph.nodes[first].attr["dtype"].type
    shape = graph.add("redraw_batch/shape", "Shape", [f"{first}:0"], T=dtype, out_type=3)
    bounds = [
        graph.add_constant(f"redraw_batch/{n}", [v], "int32")
        for n, v in (("begin", 0), ("end", 1), ("step", 1))
    ]
    return graph.add("redraw_batch/size", "StridedSlice", [shape, *bounds], T=3, Index=3)


def _with_batch(graph: Graph, name: str, batch: str, rest: np.ndarray) -> str:
    """A shape that begins with the batch's size."""
    from tensorflow.core.framework import attr_value_pb2

    other = graph.add_constant(f"{name}/rest", np.asarray(rest, np.int32))
    axis = graph.add_constant(f"{name}/axis", 0, "int32")
    count = attr_value_pb2.AttrValue(i=2)
    return graph.add(name, "ConcatV2", [batch, other, axis], T=3, Tidx=3, N=count)


def _equal_rows(
    graph: Graph, tensor: str, size: int, shapes: Mapping[str, Shape], user: str, data: set[str]
) -> np.ndarray | None:
    """The row of a constant that has one for each of the batch's, all of them equal."""
    node = graph.nodes[node_name(tensor)]
    if node.op != "Const" or graph.nodes[user].op in _SHAPED or node_name(tensor) in data:
        return None
    shape = shapes.get(tensor)
    if not shape or shape[0] != size or len(shape) < 2 or node.attr["dtype"].type not in FLOATS + INTEGERS:
        return None
    value = known_value(graph, tensor)
    if value is None or not (value == value[:1]).all():
        return None
    return value[:1]


def _repeated(graph: Graph, name: str, row: np.ndarray, batch: str) -> str:
    constant = graph.add_constant(f"{name}/row", row)
    shape = _with_batch(graph, f"{name}/shape", batch, np.array(row.shape[1:]))
    dtype = graph.nodes[f"{name}/row"].attr["dtype"].type
    return graph.add(name, "BroadcastTo", [constant, shape], T=dtype, Tidx=3)


def mixing_rows(
    graph: Graph, outputs: list[str], inputs: Mapping[str, Shape]
) -> tuple[list[str], dict[str, tuple[Shape, Shape]]]:
    """Find means and sums over the rows of a batch: statistics of it that no average takes the place of.

    The graph's shapes are inferred for two numbers of rows: a size that differs is the batch's.

    Args:
        graph: The graph, with its batch freed.
        outputs: What is asked of it.
        inputs: Tensor of an input to its shape.

    Returns:
        What was found, in words; and of each output the shapes that it has for `TRIED` rows.

    Raises:
        InvalidDefinition: The graph takes no such number of rows; TensorFlow says where.
    """
    sizes = []
    for rows in TRIED:
        given = {
            t: (rows, *(_OTHER_SIZE if n is None else n for n in shape[1:])) if shape else shape
            for t, shape in inputs.items()
        }
        sizes.append(infer_shapes(graph, outputs, given))
    first, second = sizes
    data = data_nodes(graph)
    found = []
    for name in graph.reach(outputs):
        node = graph.nodes[name]
        if node.op not in _MEANS or name not in data or node.op in LOOP_JOINTS:
            continue
        tensor, axes = graph.data_inputs(name)[:2]
        of, other, over = first.get(tensor), second.get(tensor), known_value(graph, axes)
        if of is None or other is None or over is None or node.attr["T"].type not in FLOATS:
            continue
        reduced = [int(axis) % max(len(of), 1) for axis in np.atleast_1d(over)]
        if any(of[axis] is not None and of[axis] != other[axis] for axis in reduced if axis < len(of)):
            found.append(f"{node.op} {name!r} is taken over the batch, and no moving average of it is kept")
    return found, {tensor: (first.get(tensor), second.get(tensor)) for tensor in map(graph.resolve, outputs)}
