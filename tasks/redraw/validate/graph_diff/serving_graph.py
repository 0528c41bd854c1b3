"""The operations that a SavedModel's signatures reach, read from its file without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redraw.validate.graph_diff.flatten import FlatGraph, flatten_graph

if TYPE_CHECKING:
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef

_NOT_SERVED = "__saved_model"  # the prefix of TensorFlow's own signatures, for initialization


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or an output of signatures.

    Attributes:
        name: Its name in requests.
        spec: Its dtype and shape as text.
        signatures: The signatures that have it.
    """

    name: str
    spec: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ServedSignature:
    """The operations that one signature reaches.

    Attributes:
        name: The name of the signature.
        inputs: Node name to input.
        outputs: Its outputs, in the order of `graph.ends`.
        graph: Its operations; those of its inputs have the type `Placeholder`.
    """

    name: str
    inputs: Mapping[str, Tensor]
    outputs: tuple[Tensor, ...]
    graph: FlatGraph


def read_signatures(meta_graph: MetaGraphDef) -> list[ServedSignature]:
    """Flatten the part of the graph that each signature reaches.

    Returns:
        The signatures, sorted by name.

    Raises:
        CannotRun: A function calls itself.
    """
    return list(_read(meta_graph))


def _read(meta_graph: MetaGraphDef) -> Iterator[ServedSignature]:
    for name in sorted(meta_graph.signature_def):
        signature = meta_graph.signature_def[name]
        if name.startswith(_NOT_SERVED):
            continue
        outputs = sorted(signature.outputs.items())
        nodes = {
            info.name.partition(":")[0]: _tensor(key, info, name) for key, info in signature.inputs.items()
        }
        flat = flatten_graph(meta_graph.graph_def, [info.name for _, info in outputs], nodes)
        yield ServedSignature(
            name=name,
            inputs=nodes,
            outputs=tuple(_tensor(key, info, name) for key, info in outputs),
            graph=flat,
        )


def _tensor(key: str, info: Any, signature: str) -> Tensor:
    from tensorboard.compat.proto.types_pb2 import DataType

    dtype = DataType.Name(info.dtype).removeprefix("DT_").lower()
    sizes = [None if dimension.size < 0 else dimension.size for dimension in info.tensor_shape.dim]
    shape = "?" if info.tensor_shape.unknown_rank else sizes
    return Tensor(name=key, spec=f"{_numpy_name(dtype)} {shape}", signatures=(signature,))


def _numpy_name(dtype: str) -> str:
    """The dtype as definitions write it: `float32` for FLOAT."""
    return {"float": "float32", "double": "float64", "half": "float16"}.get(dtype, dtype)
