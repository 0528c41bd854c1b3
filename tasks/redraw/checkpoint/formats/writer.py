"""Find which Keras wrote a checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.trackable import ObjectGraph

# Attributes that only objects of Keras 3, also its optimizers, have in a `tf.train.Checkpoint`.
_ONLY_KERAS_3 = re.compile(
    r"_(operations|functional|kernel|losses|tracked|inbound_nodes|trainable_variables)"
)
_UNNAMED = re.compile(r"vars/\w+")
_OLD = re.compile(r"([01]\.|2\.[0-2]\.)")


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The library that wrote a checkpoint, as far as it is known.

    Attributes:
        keras_3: Whether it is certain that Keras 3 did.
        keras_2: Whether it is certain that Keras 2 did.
        first_gates: Whether it may be a Keras whose LSTM and GRU use `hard_sigmoid` for their gates by
            default: before 2.3, and the `tf.keras` of TensorFlow 1.
    """

    keras_3: bool
    keras_2: bool = False
    first_gates: bool = False


def find_writer(source: CheckpointSource) -> Writer:
    """Find which Keras wrote a checkpoint.

    Returns:
        The library according to the version, the objects or the names in the checkpoint.
    """
    if source.format in ("keras", "keras_h5"):
        version = _version(source)
        keras_3, keras_2 = version.startswith("3."), version.startswith("2.")
        return Writer(keras_3=keras_3, keras_2=keras_2, first_gates=bool(_OLD.match(version)))
    graph = source.graph
    if graph is None:
        return Writer(keras_3=False, first_gates=True)
    if source.format == "keras_weights":
        # Keras 3 writes the names of layers into the file, Keras 2 does not.
        names = [tensor.full_name for node in graph.nodes for tensor in node.variables()]
        return Writer(keras_3=any(not _UNNAMED.fullmatch(name) for name in names))
    attributes = {name for node in graph.nodes for name, _ in node.children}
    return Writer(keras_3=any(map(_ONLY_KERAS_3.fullmatch, attributes)), first_gates=_has_first_names(graph))


def _version(source: CheckpointSource) -> str:
    version = getattr(source, "keras_version", None)
    if version is None and hasattr(source, "attribute"):
        version = source.attribute("keras_version")
    return version.decode() if isinstance(version, bytes) else version or ""


def _has_first_names(graph: ObjectGraph) -> bool:
    """Whether weights of cells have names from before TensorFlow 2.2: `lstm/kernel`, without a cell."""
    names = [tensor.full_name.split("/") for node in graph.nodes for tensor in node.variables()]
    return any(
        len(parts) > 1 and parts[-1] == "recurrent_kernel" and "cell" not in parts[-2] for parts in names
    )
