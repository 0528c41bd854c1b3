"""Does the definition draw the layers, and hold the tables, that the checkpoint's own file describes?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraw.checkpoint.formats.configuration import Configuration, read_configuration
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.formats.writer import find_writer
from redraw.errors import CheckpointError, StorageError, short_list
from redraw.records import Check
from redraw.validate.outcome import CannotRun, conclude

if TYPE_CHECKING:
    from redraw.checkpoint.formats.source import CheckpointSource
    from redraw.networks.layers.comparing import Comparison
    from redraw.networks.layers.layer import Model
    from redraw.serving.graph.reachable import Place
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

NAME = "file-configuration"
_KEYS, _VALUES = "keys", "values"
_FROM_FILE = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
# What an initializer of a table takes from each line of a file: all of it, or its number.
_LINE, _NUMBER = -2, -1
_LARGEST, _LARGEST_ASSET, _MOST_ASSETS = 64 << 20, 8 << 20, 20
_FILLERS = {"LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2"}
Table = Mapping[Any, Any]


def check_file_configuration(subject: Subject) -> Check:
    """Compare layers and tables of the file with those that are served: the check `file-configuration`.

    Weights say nothing of an activation, an epsilon, a vocabulary, or the order of two layers; and what
    the definition answers is compared with the definition.

    Raises:
        CannotRun: The checkpoint is gone, or its configuration cannot be read.
    """
    source = subject.source
    try:
        configuration = read_configuration(source)
        tables = list(differing_tables(subject.graph, source, subject.folder / "assets"))
    except (CheckpointError, StorageError) as err:
        raise CannotRun(str(err), "Validate with the checkpoint that the export was made of.") from err
    compared = None if configuration is None else _compared(subject, configuration)
    unclear = _unclear(subject, described=compared is not None)
    if configuration is not None and configuration.other_assets:
        names = short_list(configuration.other_assets, "files")
        unclear.append(f"the file keeps {names}, which only the code of a layer reads: compare by hand")
    return conclude(
        NAME,
        looked_at=f"the layers' settings and the tables in {source.uri}, compared with those that are served",
        expected="the same settings where they change an answer, the same order of layers, and equal tables",
        found=_found(subject, compared),
        problems=[*(compared.problems if compared else ()), *unclear, *tables],
        advice="Make the definition's layers as the file has them; if a difference is wanted, such as a"
        " function of the last layer that serve applies by itself, say why:"
        f" --waive {NAME}=REASON.",
    )


def _compared(subject: Subject, configuration: Configuration) -> Comparison | None:
    # Imports TensorFlow, for which an export without a configuration need not wait.
    from redraw.networks.layers.comparing import compare_models
    from redraw.networks.layers.described import Unreadable, read_model
    from redraw.networks.layers.pairing import weights_from

    drawn = subject.standard.drawn_layers
    if not drawn.layers:
        return None
    try:
        described = read_model(configuration.model, keras_2=configuration.keras_2)
    except Unreadable as err:
        raise CannotRun(
            f"the configuration in {subject.source.uri} cannot be read as layers ({err})",
            f"Compare it by hand, then waive it: --waive {NAME}=REASON.",
        ) from err
    _complete(described, subject.source)
    served = ((row["variable"], row["key"]) for row in subject.ledger["served"])
    return compare_models(described, drawn, configuration.vocabularies, weights_from(served, subject.source))


def _complete(described: Model, source: CheckpointSource) -> None:
    """Say of layers what other parts of the file say: what they learned; low ranks are added already."""
    from redraw.networks.layers.pairing import names_in

    keys = dict(names_in(source))
    for layer in described.layers:
        if source.format == "keras":
            layer.settings = {key: value for key, value in layer.settings.items() if key != "lora_rank"}
        if layer.kind == "Normalization" and layer.settings.get("mean") is None:
            for number, part in enumerate(("mean", "variance")):
                key = keys.get(f"{layer.name}/{part}", keys.get(f"{layer.name}/{number}"))
                if key is not None:
                    layer.settings = {**layer.settings, part: source.read_array(key).ravel().tolist()}


def _unclear(subject: Subject, *, described: bool) -> list[str]:
    """What the definition draws by names and defaults that the writer of the file understands otherwise."""
    from redraw.networks.layers.meanings import other_masks, other_meanings

    writer = find_writer(subject.source)
    if writer.keras_3:
        return []
    drawn = subject.standard.drawn_layers
    return [*(() if described else other_meanings(drawn, writer)), *other_masks(drawn)]


def _found(subject: Subject, compared: Comparison | None) -> str:
    if compared is not None:
        rest = f"; not compared: {', '.join(compared.uncertain[:5])}" if compared.uncertain else ""
        return f"{compared.compared} layers compared, each the same{rest}"
    if read_configuration(subject.source) is None:
        return (
            f"no layer compared: a checkpoint of the format {subject.source.format} says nothing of them here"
        )
    return "no layer compared: the definition draws none of Keras"


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
    origins = graph.origins(graph.initializing, place, node.input[1])
    file = names.get(next(iter(origins)).name) if len(origins) == 1 else None
    if file is None or (assets / file).stat().st_size > _LARGEST:
        return {}
    lines = (assets / file).read_bytes().removesuffix(b"\n").split(b"\n")
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

    node = graph.initializing.nodes.get(next(iter(origins))) if len(origins) == 1 else None
    if node is None or node.op != "Const":
        return None
    values: list[Any] = tf.make_ndarray(node.attr["value"].tensor).ravel().tolist()
    return values
