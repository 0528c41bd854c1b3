"""The files that a TF1 graph reads; they are copied to `assets/`, where a server finds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from redraw.errors import InvalidDefinition


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file that a graph reads.

    Attributes:
        tensor: The name of the string tensor that holds its path; servers feed it.
        name: The file's name below `assets/`.
        path: Its current path.
    """

    tensor: str
    name: str
    path: Path


def name_assets(graph: tf.Graph, nodes: set[str]) -> list[Asset]:
    """The used files of the graph's collection `asset_filepaths`.

    Args:
        graph: The graph.
        nodes: The names of the used nodes.

    Returns:
        An asset for each tensor, in the graph's order. Tensors of one file share its name;
        different files of the same name are numbered.

    Raises:
        InvalidDefinition: A path is not a constant, or there is no such file.
    """
    tensors = [t for t in graph.get_collection(tf.compat.v1.GraphKeys.ASSET_FILEPATHS) if t.op.name in nodes]
    assets: list[Asset] = []
    for tensor in tensors:
        if all(asset.tensor != tensor.name for asset in assets):
            path = _path(tensor)
            assets.append(Asset(tensor=tensor.name, name=_name(path, assets), path=path))
    return assets


def put_asset_names(meta_graph: Any, assets: Iterable[Asset]) -> None:
    """Write into a MetaGraph which file each tensor is fed, and remove the local paths."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    for asset in assets:
        described = meta_graph.asset_file_def.add(filename=asset.name)
        described.tensor_info.name = asset.tensor
        constant = nodes[asset.tensor.partition(":")[0]].attr["value"].tensor
        constant.string_val[:] = [asset.name.encode()]


def _path(tensor: Any) -> Path:
    value = tf.get_static_value(tensor) if tensor.op.type == "Const" else None
    path = Path(value.item().decode()) if value is not None else None
    if path is None or not path.is_file():
        raise InvalidDefinition(
            f"asset {tensor.name}: expected a constant path of an existing file, got"
            f" {path or tensor.op.type}. Use the path of a file next to the definition."
        )
    return path.resolve()


def _name(path: Path, assets: Iterable[Asset]) -> str:
    paths = {asset.name: asset.path for asset in assets}
    name, number = path.name, 0
    while paths.get(name, path) != path:
        number += 1
        name = f"{path.stem}_{number}{path.suffix}"
    return name
