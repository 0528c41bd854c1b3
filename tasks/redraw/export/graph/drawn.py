"""The result of drawing: a graph for serving, and the variables that need values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class DrawnVariable:
    """A variable that a signature uses, without memory.

    Attributes:
        name: The name that is looked up in the checkpoint.
        key: The name of its tensor in the SavedModel's own bundle.
        dtype: TensorFlow's name of it.
        shape: Its dimensions.
        value: Its value, a numpy array, only if it is a constant outside of the network, which
            is in no checkpoint.
        trainable: Whether training changes it.
    """

    name: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    value: Any = None
    trainable: bool = True


@dataclass(frozen=True, kw_only=True)
class DrawnGraph:
    """A graph drawn for serving.

    Attributes:
        meta_graph: A `MetaGraphDef` with its signatures.
        variables: The variables of the SavedModel's bundle.
        texts: Key to content of the scalar string tensors of the bundle.
        assets: Name below `assets/` to the file to copy there.
        known_by: Whether variables are identified by their names (Keras, TF1), by their paths of
            attributes, or by the keys of the SavedModel that the graph comes from.
        unreached: Variables of the network that no signature uses.
        structure_places: Variable's name to its places by the order of layers
            (`redraw.export.graph.places`).
        saved_places: Variable's name to its places in Keras 3's files.
        former_places: The same in those of Keras 2.
        object_places: Variable's name to its paths of attributes.
        order_places: Variable's name to the number of its layer and its own there.
        former_orders: The same in the orders that Keras 2 may have.
        own_names: Variable's name to its own `name` attribute.
        trained: Names of the variables that an optimizer of Keras trains, in its order.
    """

    meta_graph: Any
    variables: tuple[DrawnVariable, ...]
    texts: Mapping[str, bytes] = field(default_factory=dict)
    assets: Mapping[str, Path] = field(default_factory=dict)
    known_by: Literal["name", "path", "key"] = "name"
    unreached: tuple[DrawnVariable, ...] = ()
    structure_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    former_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    object_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order_places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    former_orders: Sequence[Mapping[str, tuple[str, ...]]] = ()
    own_names: Mapping[str, str] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
