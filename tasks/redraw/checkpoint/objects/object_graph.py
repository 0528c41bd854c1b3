"""The object graph of a `tf.train.Checkpoint`: which key holds the value of which variable.

An object-based checkpoint stores a graph of the saved objects under the key
`_CHECKPOINTABLE_OBJECT_GRAPH`. A variable that several objects share has one key, from the
first path to it (which may be the optimizer's for a layer's variable). So a variable is
found by walking the graph, never by guessing its key.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/protobuf/trackable_object_graph.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.entries import decode_text
from redraw.checkpoint.bundle.messages import TrackableObjectGraph, parse_message
from redraw.checkpoint.bundle.tensors import BundleTensors
from redraw.checkpoint.objects.roles import objects_apart
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY, ObjectGraph, ObjectNode, Paths, SavedTensor

# A layer takes some 2 kB.
_LARGEST = 64 << 20


def read_object_graph(bundle: BundleTensors) -> ObjectGraph | None:
    """Read a checkpoint's object graph.

    Returns:
        The graph; None for a checkpoint that knows variables only by name (TF1).

    Raises:
        CheckpointCorrupt: The graph is damaged.
    """
    entry = bundle.entries.get(OBJECT_GRAPH_KEY)
    if entry is None:
        return None
    try:
        if entry.dtype != "string" or entry.shape or entry.size > _LARGEST:
            description = f"{entry.dtype} {list(entry.shape)} of {entry.size} bytes"
            raise MalformedError(f"one string of at most {_LARGEST} bytes", description)
        proto = parse_message(TrackableObjectGraph, bundle.read_array(OBJECT_GRAPH_KEY).item())
        return ObjectGraph(nodes=tuple(_node(node, len(proto.nodes)) for node in proto.nodes))
    except MalformedError as err:
        raise err.found_in(bundle.index_name, f"tensor {OBJECT_GRAPH_KEY!r}") from err


def variables_by_path(graph: ObjectGraph | None, child: str) -> dict[str, str]:
    """The weights of one object of the checkpoint, by their attribute paths.

    Variables of an optimizer or a random generator below it are left out.

    Args:
        graph: The checkpoint's object graph.
        child: The object's name in `tf.train.Checkpoint(NAME=…)`.

    Returns:
        Path from the object, such as `layers/0/kernel`, to checkpoint key. A variable with
        several paths is listed under each.
    """
    start = graph.child(0, child) if graph is not None else None
    if graph is None or start is None:
        return {}
    return {path: variable.key for path, variable in variables_from(graph, start)}


def object_at(graph: ObjectGraph, path: str) -> int | None:
    """The number of the object at a path of attributes from the root; '' is the root itself."""
    number: int | None = 0 if graph.nodes else None
    for name in filter(None, path.split("/")):
        number = graph.child(number, name) if number is not None else None
    return number


def variables_from(graph: ObjectGraph, start: int) -> Iterator[tuple[str, SavedTensor]]:
    """The weights of an object, each by every shortest path to it.

    Yields:
        Path and tensor, without those of optimizers, random generators and metrics.
    """
    yield from (("", tensor) for tensor in graph.nodes[start].variables())
    paths, queue, apart = Paths(start), [start], objects_apart(graph)
    for number in queue:
        for name, target in graph.nodes[number].children:
            if target in apart:
                continue
            path = f"{paths[number]}/{name}" if paths[number] else name
            yield from ((path, tensor) for tensor in graph.nodes[target].variables())
            if target not in paths:
                paths.add(target, path)
                queue.append(target)


@dataclass(frozen=True)
class _Numbers:
    """Checks that a number is that of a node."""

    count: int

    def __call__(self, number: int) -> int:
        if not 0 <= number < self.count:
            raise MalformedError(f"an object number from 0 to {self.count - 1}", f"{number}")
        return number


def _node(proto: Any, count: int) -> ObjectNode:
    number = _Numbers(count)
    return ObjectNode(
        children=tuple((decode_text(c.local_name), number(c.node_id)) for c in proto.children),
        tensors=tuple(
            SavedTensor(decode_text(a.name), decode_text(a.full_name), decode_text(a.checkpoint_key))
            for a in proto.attributes
        ),
        slot_variables=tuple(number(slot.slot_variable_node_id) for slot in proto.slot_variables),
    )
