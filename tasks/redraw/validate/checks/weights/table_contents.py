"""Do the tables that are served hold what the checkpoint's tables hold?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.errors import short_list

if TYPE_CHECKING:
    from redraw.serving.graph.reachable import Place
    from redraw.serving.graph.serving_graph import ServingGraph

_KEYS, _VALUES = "keys", "values"
_FROM_FILE = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
# What an initializer of a table takes from each line of a file: all of it, or its number.
_LINE, _NUMBER = -2, -1
_LARGEST, _LARGEST_ASSET, _MOST_ASSETS = 64 << 20, 8 << 20, 20
_FILLERS = {"LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2"}

Table = Mapping[Any, Any]


def differing_tables(graph: ServingGraph, source: CheckpointSource, assets: Path) -> Iterator[str]:
    """Compare each table that a server fills with the checkpoint's of the same kinds.

    Args:
        graph: The export's.
        source: The checkpoint; what a table saves of itself are two tensors, its keys and its values.
        assets: The folder of the export's files that tables are filled from.

    Yields:
        What is wrong with each table that none of them equals.
    """
    names = [key for key in source.entries if key.endswith(f"-{_KEYS}") and _values_of(key) in source.entries]
    saved = {key: _content(source, key) for key in names if source.entries[key].shape != (0,)}
    yield from _differing_files(graph, source, assets)
    if not saved:
        return
    for place, served in _served(graph, assets):
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


def _differing_files(graph: ServingGraph, source: CheckpointSource, assets: Path) -> Iterator[str]:
    """The files of the export that a SavedModel whose weights are served has with another content."""
    if not hasattr(source, "neighbours") or not hasattr(source, "neighbour"):
        return
    ours = {asset.filename: (assets / asset.filename).read_bytes() for asset in graph.meta.asset_file_def}
    names = [name.removeprefix("assets/") for name in source.neighbours("assets")] if ours else []
    theirs = {name: source.neighbour(f"assets/{name}", _LARGEST_ASSET) for name in names[:_MOST_ASSETS]}
    for name, content in sorted(ours.items()):
        if theirs.get(name, content) not in (None, content):
            yield f"asset {name!r}: its content is another one than that of the file next to the weights"
    spare = [n for n, content in theirs.items() if n not in ours and content not in (None, *ours.values())]
    for name in sorted(ours.keys() - theirs.keys()):
        if spare and ours[name] not in theirs.values():
            yield (
                f"asset {name!r}: its content is that of none of the files next to the weights, of which none"
                f" is used for {short_list(spare, 'files')}"
            )


def _served(graph: ServingGraph, assets: Path) -> Iterator[tuple[str, Table]]:
    """The tables that are filled with constants or from files, each with its place."""
    for place, node in graph.initializing.nodes.items():
        if node.op in _FROM_FILE:
            content = _of_file(graph, place, node, assets)
            if content:
                yield str(place), content
        if node.op not in _FILLERS:
            continue
        parts = [_constant(graph, graph.origins(graph.initializing, place, name)) for name in node.input[1:3]]
        if all(part is not None and len(part) for part in parts):
            yield str(place), dict(zip(*parts, strict=False))


def _of_file(graph: ServingGraph, place: Place, node: Any, assets: Path) -> dict[Any, Any]:
    """What a file fills a table with, as TensorFlow reads it."""
    names = {asset.tensor_info.name.partition(":")[0]: asset.filename for asset in graph.meta.asset_file_def}
    files = [names.get(origin.name) for origin in graph.origins(graph.initializing, place, node.input[1])]
    if len(files) != 1 or files[0] is None or (assets / files[0]).stat().st_size > _LARGEST:
        return {}
    lines = (assets / files[0]).read_bytes().removesuffix(b"\n").split(b"\n")
    size, cut = node.attr["vocab_size"].i, node.attr["delimiter"].s or b"\t"
    rows = [
        (line, number, line.split(cut)) for number, line in enumerate(lines[: size if size > 0 else None])
    ]
    columns = (node.attr[name].i for name in ("key_index", "value_index"))
    keys, values = (_column(rows, column, node.attr["offset"].i) for column in columns)
    return dict(zip(keys, values, strict=True))


def _column(rows: Sequence[tuple[bytes, int, list[bytes]]], column: int, offset: int) -> list[Any]:
    if column in (_LINE, _NUMBER):
        return [line if column == _LINE else number + offset for line, number, _ in rows]
    cells = [parts[column] if column < len(parts) else b"" for _, _, parts in rows]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return [kind(cell) for cell in cells]
    return cells


def _constant(graph: ServingGraph, origins: set[Any]) -> list[Any] | None:
    import tensorflow as tf

    nodes = [graph.initializing.nodes.get(origin) for origin in origins]
    if len(nodes) != 1 or nodes[0] is None or nodes[0].op != "Const":
        return None
    values: list[Any] = tf.make_ndarray(nodes[0].attr["value"].tensor).ravel().tolist()
    return values
