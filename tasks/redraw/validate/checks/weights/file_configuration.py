"""Are the definition's layers and tables those that the checkpoint's own file describes?"""

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
# The columns by which a table initializer means the whole line of a file, or the line's number.
_LINE, _NUMBER = -2, -1
_LARGEST, _LARGEST_ASSET, _MOST_ASSETS = 64 << 20, 8 << 20, 20
_FILLERS = {"LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2"}
Table = Mapping[Any, Any]


def check_file_configuration(subject: Subject) -> Check:
    """Compare layers and tables of the file with those that are served: the check `file-configuration`.

    Comparing weights cannot find a wrong activation, epsilon, vocabulary or order of layers, and the
    checks of answers use the same definition on both sides.

    Raises:
        CannotRun: The checkpoint is missing, or its configuration cannot be read.
    """
    source = subject.source
    try:
        configuration = read_configuration(source)
        tables = list(differing_tables(subject.graph, source, subject.folder / "assets"))
    except (CheckpointError, StorageError) as err:
        raise CannotRun(str(err), "Validate with the checkpoint that the export was made from.") from err
    compared = None if configuration is None else _compare_layers(subject, configuration)
    unclear = _unclear(subject, described=compared is not None)
    if configuration is not None and configuration.other_assets:
        names = short_list(configuration.other_assets, "files")
        unclear.append(f"the file has {names}, which only the layer's own code can read; compare by hand")
    return conclude(
        NAME,
        looked_at=f"the layers' settings and the tables in {source.uri}, compared with those that are served",
        expected="the same settings if they can change an answer, the same order of layers, and equal tables",
        found=_summarize(subject, compared),
        problems=[*(compared.problems if compared else ()), *unclear, *tables],
        advice="Build the layers with the settings of the file. If a difference is intended, such as a last"
        f" activation that serve applies itself, waive the check: --waive {NAME}=REASON.",
    )


def _compare_layers(subject: Subject, configuration: Configuration) -> Comparison | None:
    # Imports TensorFlow, which an export without a configuration does not need.
    from redraw.networks.layers.comparing import compare_models
    from redraw.networks.layers.described import Unreadable, read_model
    from redraw.networks.layers.pairing import weights_from

    drawn = subject.resources.drawn_layers
    if not drawn.layers:
        return None
    try:
        described = read_model(configuration.model, keras_2=configuration.keras_2)
    except Unreadable as err:
        raise CannotRun(
            f"the configuration in {subject.source.uri} cannot be read as layers ({err})",
            f"Compare the layers by hand, then waive the check: --waive {NAME}=REASON.",
        ) from err
    _complete_settings(described, subject.source)
    served = ((row["variable"], row["key"]) for row in subject.ledger["served"])
    return compare_models(described, drawn, configuration.vocabularies, weights_from(served, subject.source))


def _complete_settings(described: Model, source: CheckpointSource) -> None:
    """Complete the layers' settings with learned values; low-rank updates are part of the weights already."""
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
    """Names and defaults of the definition that the writer of the file understands differently."""
    from redraw.networks.layers.meanings import other_masks, other_meanings

    writer = find_writer(subject.source)
    if writer.keras_3:
        return []
    drawn = subject.resources.drawn_layers
    return [*(() if described else other_meanings(drawn, writer)), *other_masks(drawn)]


def _summarize(subject: Subject, compared: Comparison | None) -> str:
    if compared is not None:
        rest = f"; not compared: {', '.join(compared.uncertain[:5])}" if compared.uncertain else ""
        return f"{compared.compared} layers compared, each the same{rest}"
    if read_configuration(subject.source) is None:
        return (
            f"no layer compared: this checkpoint (format {subject.source.format}) does not describe its"
            " layers"
        )
    return "no layer compared: the definition has no Keras layers"


def differing_tables(graph: ServingGraph, source: CheckpointSource, assets: Path) -> Iterator[str]:
    """Compare each table that a server fills with the checkpoint's tables of the same types.

    Args:
        graph: The export's graph.
        source: The checkpoint, which has two tensors for each table: its keys and its values.
        assets: The folder of the export's files that fill tables.

    Yields:
        A description of each table that equals none of the checkpoint's.
    """
    names = [key for key in source.entries if key.endswith(f"-{_KEYS}") and _values_of(key) in source.entries]
    saved = {key: _content(source, key) for key in names if source.entries[key].shape != (0,)}
    yield from _differing_files(graph, source, assets)
    if not saved:
        return
    for place, content in _served_tables(graph, assets):
        rivals = {key: table for key, table in saved.items() if _kinds(table) == _kinds(content)}
        if rivals and content not in rivals.values():
            key, table = next(iter(rivals.items()))
            other = next(word for word in [*table, *content] if table.get(word) != content.get(word))
            yield (
                f"table {place}, {len(content)} keys: {other!r} is {content.get(other)!r} in the export, and"
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
    """The assets that differ from the files of the SavedModel whose weights are served."""
    if not hasattr(source, "neighbours") or not hasattr(source, "neighbour"):
        return
    exported = {asset.filename: (assets / asset.filename).read_bytes() for asset in graph.meta.asset_file_def}
    names = [name.removeprefix("assets/") for name in source.neighbours("assets")] if exported else []
    original = {name: source.neighbour(f"assets/{name}", _LARGEST_ASSET) for name in names[:_MOST_ASSETS]}
    for name, content in sorted(exported.items()):
        if original.get(name, content) not in (None, content):
            yield f"asset {name!r}: its content differs from the file next to the weights"
    spare = [
        n
        for n, content in original.items()
        if n not in exported and content not in (None, *exported.values())
    ]
    for name in sorted(exported.keys() - original.keys()):
        if spare and exported[name] not in original.values():
            yield (
                f"asset {name!r}: its content equals no file next to the weights, and these files are not"
                f" used by any asset: {short_list(spare, 'files')}"
            )


def _served_tables(graph: ServingGraph, assets: Path) -> Iterator[tuple[str, Table]]:
    """The tables that constants or files fill, each with its place."""
    for place, node in graph.initializing.nodes.items():
        if node.op in _FROM_FILE:
            content = _read_file(graph, place, node, assets)
            if content:
                yield str(place), content
        if node.op not in _FILLERS:
            continue
        parts = [_constant(graph, graph.origins(graph.initializing, place, name)) for name in node.input[1:3]]
        if all(part is not None and len(part) for part in parts):
            yield str(place), dict(zip(*parts, strict=False))


def _read_file(graph: ServingGraph, place: Place, node: Any, assets: Path) -> dict[Any, Any]:
    """The content that TensorFlow reads from a file into a table."""
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
