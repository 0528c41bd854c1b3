"""Do the tables that are served hold what the checkpoint's tables hold?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from redraw.checkpoint.formats.source import CheckpointSource

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph

__all__ = ["differing_tables"]

_KEYS, _VALUES = "keys", "values"
_FILLERS = {"LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2"}

Table = Mapping[Any, Any]


def differing_tables(graph: ServingGraph, source: CheckpointSource) -> Iterator[str]:
    """Compare each table that a server fills with the checkpoint's of the same kinds.

    Args:
        graph: The export's.
        source: The checkpoint; what a table saves of itself are two tensors, its keys and its values.

    Yields:
        What is wrong with each table that none of them equals.
    """
    names = [key for key in source.entries if key.endswith(f"-{_KEYS}") and _values_of(key) in source.entries]
    saved = {key: _content(source, key) for key in names if source.entries[key].shape != (0,)}
    if not saved:
        return
    for place, served in _served(graph):
        rivals = {key: table for key, table in saved.items() if _kinds(table) == _kinds(served)}
        if rivals and served not in rivals.values():
            key, table = next(iter(rivals.items()))
            other = next(word for word in [*table, *served] if table.get(word) != served.get(word))
            yield (
                f"table {place}, {len(served)} keys: {other!r} is {served.get(other)!r} in it, and"
                f" {table.get(other)!r} in the checkpoint's {key!r}, {len(table)} keys"
            )


def _values_of(key: str) -> str:
    return key.removesuffix(_KEYS) + _VALUES


def _content(source: CheckpointSource, key: str) -> dict[Any, Any]:
    keys, values = (source.read_array(name).ravel().tolist() for name in (key, _values_of(key)))
    return dict(zip(keys, values, strict=False))


def _kinds(table: Table) -> tuple[type, type]:
    key, value = next(iter(table.items()))
    return type(key), type(value)


def _served(graph: ServingGraph) -> Iterator[tuple[str, Table]]:
    """The tables that are filled with constants, each with its place."""
    for place, node in graph.initializing.nodes.items():
        if node.op not in _FILLERS:
            continue
        parts = [_constant(graph, graph.origins(graph.initializing, place, name)) for name in node.input[1:3]]
        if all(part is not None and len(part) for part in parts):
            yield str(place), dict(zip(*parts, strict=False))


def _constant(graph: ServingGraph, origins: set[Any]) -> list[Any] | None:
    import tensorflow as tf

    nodes = [graph.initializing.nodes.get(origin) for origin in origins]
    if len(nodes) != 1 or nodes[0] is None or nodes[0].op != "Const":
        return None
    values: list[Any] = tf.make_ndarray(nodes[0].attr["value"].tensor).ravel().tolist()
    return values
