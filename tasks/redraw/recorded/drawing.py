"""Import a redrawn graph into the current graph, with resource variables."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from redraw.compat.tensorflow import Slice, mark_slice
from redraw.errors import InvalidDefinition
from redraw.recorded.files import MOST_BYTES
from redraw.recorded.redrawing import Redrawn
from redraw.recorded.tables import Table
from redraw.recorded.variables import SavedVariable
from redraw.storage.opening import read_uri
from redraw.uri import Uri

_KEYS = tf.compat.v1.GraphKeys
_OPERATION = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def draw_redrawn(
    redrawn: Redrawn,
    features: Mapping[str, Any],
    output_names: Iterable[str],
    files: Mapping[str, str],
    versions: Any,
) -> dict[str, Any]:
    """Draw the nodes that some outputs need.

    Args:
        redrawn: The redrawn graph.
        features: Input name to tensor.
        output_names: The outputs' names.
        files: The name of a table's file to its current path.
        versions: The `VersionDef` of the recording.

    Returns:
        Output name to tensor.

    Raises:
        InvalidDefinition: An output needs an input that is not given, a table's file is not found, or
            TensorFlow refuses the graph.
    """
    graph = redrawn.graph
    outputs = {name: graph.resolve(redrawn.outputs[name]) for name in output_names}
    needed = graph.reach(outputs.values())
    tables = [table for table in redrawn.tables if table.node in needed]
    roots = [tensor for table in tables for tensor in graph.data_inputs(table.initializer)]
    names = [*graph.reach([*outputs.values(), *roots]), *(table.initializer for table in tables)]
    served = {variable.node: variable for variable in redrawn.variables}
    part = graph.part(name for name in names if name not in served)
    part.versions.CopyFrom(versions)
    mapped = {f"{name}:0": _variable(served[name], graph.nodes[name].op) for name in names if name in served}
    for placeholder in dict.fromkeys(redrawn.inputs.values()):
        if placeholder.partition(":")[0] in needed:
            names = [name for name, other in redrawn.inputs.items() if other == placeholder]
            input_name = next((name for name in names if name in features), None)
            if input_name is None:
                raise InvalidDefinition(
                    f"{graph.where}: expected the input {names[0]!r}, which {', '.join(outputs)} need, got"
                    f" {', '.join(features) or 'none'}. Add this input to the signature."
                )
            mapped[placeholder] = features[input_name]
    for table in tables:
        if table.file:
            mapped[table.file_tensor] = _file(graph.where, table, files)
    return _imported(graph.where, part, mapped, outputs, [table.initializer for table in tables])


def _imported(
    where: str, part: Any, mapped: Mapping[str, Any], outputs: Mapping[str, str], initializers: list[str]
) -> dict[str, Any]:
    tensors_read = {name if ":" in name else f"{name}:0" for node in part.node for name in node.input}
    inner = {name: tensor for name, tensor in outputs.items() if tensor not in mapped}
    try:
        elements = tf.graph_util.import_graph_def(
            part,
            {t: v for t, v in mapped.items() if t in tensors_read},
            [*inner.values(), *initializers],
            name="recorded",
        )
    except (ValueError, tf.errors.OpError) as err:
        raise InvalidDefinition(
            f"{where}: expected a graph that TensorFlow {tf.__version__} can import, got:"
            f" {' '.join(str(err).split())[:300]}. Correct inputs, their shapes or constants."
        ) from err
    for initializer in elements[len(inner) :]:
        tf.compat.v1.add_to_collection(_KEYS.TABLE_INITIALIZERS, initializer)
    tensors = dict(zip(inner, elements, strict=False))
    return {name: tensors[name] if name in tensors else mapped[tensor] for name, tensor in outputs.items()}


def _variable(saved: SavedVariable, op: str) -> Any:
    by_key = saved.full_shape is None and _OPERATION.fullmatch(saved.key)
    variable = tf.compat.v1.get_variable(
        saved.key if by_key else saved.node,
        saved.shape,
        saved.dtype,
        initializer=tf.compat.v1.zeros_initializer(),
        trainable=False,
    )
    if saved.full_shape is not None:
        mark_slice(
            variable,
            Slice(full_name=saved.key, full_shape=saved.full_shape, offset=saved.offset, shape=saved.shape),
        )
    return variable.handle if op == "VarHandleOp" else variable.value()


def _file(where: str, table: Table, files: Mapping[str, str]) -> Any:
    """The path of a table's file, an asset: from the definition, as recorded, or next to the recording."""
    name = table.file.replace("\\", "/").rpartition("/")[2]
    folder = Uri(where).parent
    places = [files[name]] if name in files else [table.file, folder / name, folder / "assets" / name]
    for place in map(Uri, places):
        if place.is_bucket:
            content = read_uri(place, MOST_BYTES + 1)
            if content is not None and len(content) > MOST_BYTES:
                raise InvalidDefinition(
                    f"{place}: expected a table file of at most {MOST_BYTES} bytes, got more. Name another"
                    " file in the definition's files."
                )
            if content is not None:
                path = Path(tempfile.mkdtemp(prefix="redraw-table-")) / name
                path.write_bytes(content)
                return _asset(path)
        elif Path(place).is_file():
            return _asset(Path(place))
    raise InvalidDefinition(
        f"{where}: table {table.node!r}: expected its file {name!r} at {' or '.join(places)}, found none."
        " Copy the file next to the recorded graph, or name it in the definition's files."
    )


def _asset(path: Path) -> Any:
    constant = tf.constant(str(path), name="table_file")
    tf.compat.v1.add_to_collection(_KEYS.ASSET_FILEPATHS, constant)
    return constant
