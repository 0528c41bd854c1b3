"""The tensors and functions that nodes of any graph refer to, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def node_name(tensor: str) -> str:
    """The node, or the function's argument, that a tensor or a control input comes from."""
    return tensor.lstrip("^").partition(":")[0]


def functions_in_attributes(node: Any) -> Iterator[Any]:
    """The functions that a node has as attributes, each a `NameAttrList`, in a fixed order."""
    for _, value in sorted(node.attr.items()):
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func
        elif kind == "list":
            yield from value.list.func


def called_functions(node: Any) -> Iterator[str]:
    """Names that a node may call functions by: its own type, and its attributes."""
    yield node.op
    yield from (function.name for function in functions_in_attributes(node))


def follow_calls(nodes: Iterable[Any], functions: Mapping[str, Any], others: Iterable[str] = ()) -> list[str]:
    """The functions that nodes call, directly or through others, each once, in the order of discovery.

    Args:
        nodes: `NodeDef`s.
        functions: Name to `FunctionDef`.
        others: Names of functions that are called from elsewhere.
    """
    names = [name for node in nodes for name in called_functions(node)]
    order = dict.fromkeys(name for name in (*names, *others) if name in functions)
    queue = list(order)
    for name in queue:
        for node in functions[name].node_def:
            for other in called_functions(node):
                if other in functions and other not in order:
                    order[other] = None
                    queue.append(other)
    return queue
