"""Free the batch dimension, and find operations that still mix the rows of a batch."""

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
# The input, and the attributes, that give the shape of a later tensor.
_ELEMENT_SHAPES = {
    "TensorListReserve": 0,
    "EmptyTensorList": 0,
    "TensorListStack": 1,
    "TensorListGetItem": 2,
    "TensorListFromTensor": 1,
    "TensorListGather": 2,
}
_LOOPS = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")
_HINTS = {
    "EnsureShape": ("shape",),
    "TensorArrayV3": ("element_shape",),
    "TensorArrayGatherV3": ("element_shape",),
    "PlaceholderWithDefault": ("shape",),
    **dict.fromkeys(_LOOPS, ("output_shapes",)),
}
_OF_SHAPE_ALONE = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
# Sizes that a layer is unlikely to have; none is a multiple of another.
TRIED = (23, 29)
_OTHER_SIZE = 7


def data_nodes(graph: Graph) -> set[str]:
    """The nodes whose values, and not only their shapes, depend on the inputs."""
    users = graph.users(graph.nodes)
    queue = [name for name in graph.nodes if name.startswith(INPUT)]
    visited = set(queue)
    for name in queue:
        for user in users[name]:
            if user not in visited and graph.nodes[user].op not in _OF_SHAPE_ALONE:
                visited.add(user)
                queue.append(user)
    return visited


def free_batch(graph: Graph, outputs: list[str], size: int, shapes: Mapping[str, Shape]) -> int:
    """Free a batch size that training fixed in constants.

    Args:
        graph: The graph; it is changed.
        outputs: Its output tensors.
        size: The batch's size when it was recorded.
        shapes: Tensor to its shape with that size, for known ranks.

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
    """Free hints on the shape of a tensor, which are not used in a computation.

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
    """Let a Reshape with the batch's size in a constant take any size; return how many were freed."""
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
    """The target shape of a Reshape, with -1 for the dimension that grows with the batch."""
    requested = known_value(graph, inputs[1])
    if (
        requested is None
        or requested.ndim != 1
        or not requested.size
        or int(requested[0]) <= 0
        or int(requested[0]) % size
    ):
        return None
    rest = [int(value) for value in requested[1:]]
    input_size = _elements(shapes.get(inputs[0]))
    if -1 in rest:
        if input_size is None:
            return None
        rest[rest.index(-1)] = input_size // (
            math.prod(value for value in rest if value != -1) * int(requested[0])
        )
    elif input_size is not None and input_size != int(requested[0]) * math.prod(rest):
        return None
    return [-1, *rest]


def _elements(shape: Shape | None) -> int | None:
    """The number of elements; None if a size is unknown."""
    sizes = [size for size in shape or () if size is not None]
    return math.prod(sizes) if shape is not None and len(sizes) == len(shape) else None


def _batch_size(graph: Graph) -> str:
    """The number of rows of a request, int32."""
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
    """The row of a constant that has equal rows, one for each row of the batch."""
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
    """Find means and sums over the rows of a batch, which no moving average replaces.

    The graph's shapes are inferred for two numbers of rows; a size that differs is the batch's.

    Args:
        graph: The graph, with its batch freed.
        outputs: Its output tensors.
        inputs: Tensor of an input to its shape.

    Returns:
        The findings in words, and each output's shapes for `TRIED` rows.

    Raises:
        InvalidDefinition: The graph does not accept that number of rows; TensorFlow's message says where.
    """
    sizes = []
    for rows in TRIED:
        input_shapes = {
            t: (rows, *(_OTHER_SIZE if n is None else n for n in shape[1:])) if shape else shape
            for t, shape in inputs.items()
        }
        sizes.append(infer_shapes(graph, outputs, input_shapes))
    first, second = sizes
    data = data_nodes(graph)
    findings = []
    for name in graph.reach(outputs):
        node = graph.nodes[name]
        if node.op not in _MEANS or name not in data or node.op in LOOP_JOINTS:
            continue
        tensor, axes = graph.data_inputs(name)[:2]
        shape, other_shape, axis_numbers = first.get(tensor), second.get(tensor), known_value(graph, axes)
        if shape is None or other_shape is None or axis_numbers is None or node.attr["T"].type not in FLOATS:
            continue
        reduced = [int(axis) % max(len(shape), 1) for axis in np.atleast_1d(axis_numbers)]
        if any(
            shape[axis] is not None and shape[axis] != other_shape[axis]
            for axis in reduced
            if axis < len(shape)
        ):
            findings.append(f"{node.op} {name!r} uses the batch's statistics, and has no moving average")
    return findings, {
        tensor: (first.get(tensor), second.get(tensor)) for tensor in map(graph.resolve, outputs)
    }
