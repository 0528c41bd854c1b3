"""Find the lookup tables of a redrawn graph, and the operations that fill them."""

from __future__ import annotations

from dataclasses import dataclass

from redraw.errors import InvalidDefinition
from redraw.recorded.graph import Graph
from redraw.recorded.nodes import node_name
from redraw.recorded.running import known_value

_TABLES = {"HashTable", "HashTableV2"}
_CHANGING = {"MutableHashTable", "MutableHashTableV2", "MutableDenseHashTable", "MutableDenseHashTableV2"}
# Since TensorFlow 1.14 tables are filled by an import.
_FILLS = {"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2"}
_FILLS_FROM_FILE = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that is filled once.

    Attributes:
        node: Its operation.
        initializer: The operation that fills it.
        file_tensor: The tensor with the path of the file that fills it; empty if there is none.
        file: The recorded path.
    """

    node: str
    initializer: str
    file_tensor: str = ""
    file: str = ""


def find_tables(graph: Graph, outputs: list[str]) -> tuple[Table, ...]:
    """Find the tables that outputs need, and the operation that fills each.

    Raises:
        InvalidDefinition: A table changes while it is used, or nothing fills it.
    """
    fills = {
        node_name(graph.data_inputs(name)[0]): name
        for name, node in graph.nodes.items()
        if node.op in _FILLS | _FILLS_FROM_FILE
    }
    tables = []
    for name in graph.reach(outputs):
        op = graph.nodes[name].op
        if op in _CHANGING or (op in _TABLES and name not in fills):
            got = "a table that changes" if op in _CHANGING else "no initializer"
            raise InvalidDefinition(
                f"{graph.where}: table {name!r} ({op}): expected a table that is filled once, by an"
                f" initializer, got {got}. Write the model as a definition."
            )
        if op in _TABLES:
            tables.append(_describe_table(graph, name, fills[name]))
    return tuple(tables)


def _describe_table(graph: Graph, table: str, initializer: str) -> Table:
    if graph.nodes[initializer].op not in _FILLS_FROM_FILE:
        return Table(node=table, initializer=initializer)
    tensor = graph.plain(graph.data_inputs(initializer)[1])
    path = known_value(graph, tensor)
    if path is None:
        raise InvalidDefinition(
            f"{graph.where}: table {table!r}: expected a constant path of its file, got"
            f" {graph.nodes[node_name(tensor)].op}. Set the path in constants."
        )
    return Table(node=table, initializer=initializer, file_tensor=tensor, file=path.item().decode())
