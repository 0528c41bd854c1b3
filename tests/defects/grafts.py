"""Put operations into the flat graph of a TF1 export, as a careless hand would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["graft", "hang_on", "rewire"]


def graft(meta_graph: Any, node: str, draw: Callable[[tf.Tensor], Any]) -> str:
    """Draw operations that read a node of the graph.

    Args:
        meta_graph: Where to put them.
        node: The node, whose first output, float32, is read.
        draw: Draws with that tensor, under names that the graph has not.

    Returns:
        The name of the tensor, or the operation, that `draw` returned.
    """
    graph_def = meta_graph.graph_def
    known = {one.name for one in graph_def.node}
    with tf.Graph().as_default() as graph:
        # It stands for the node, by its name.
        drawn = draw(tf.compat.v1.placeholder(tf.float32, name=node))
        drawn_def = graph.as_graph_def()
    for made in drawn_def.node:
        if made.name != node:
            assert made.name not in known, made.name
            graph_def.node.add().CopyFrom(made)
    graph_def.library.function.extend(drawn_def.library.function)
    return str(drawn.name).removesuffix(":0")


def rewire(meta_graph: Any, old: str, new: str, readers: tuple[str, ...]) -> None:
    """Let nodes that read one node read another."""
    for node in meta_graph.graph_def.node:
        if node.name in readers:
            assert old in node.input, (old, list(node.input))
            node.input[:] = [new if name == old else name for name in node.input]


def hang_on(meta_graph: Any, operation: str, node: str = "Softmax") -> None:
    """Let a node wait for an operation: it is run with each request, and changes no answer."""
    (found,) = (one for one in meta_graph.graph_def.node if one.name == node)
    found.input.append(f"^{operation}")
