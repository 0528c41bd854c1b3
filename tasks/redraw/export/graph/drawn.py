"""What drawing gives: a graph for serving, and which values have to be put under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class DrawnVariable:
    """A variable that a signature reaches; it has no memory of its own.

    Attributes:
        name: The identity by which the checkpoint is searched.
        key: The name of its tensor in the SavedModel's own bundle.
        dtype: TensorFlow's name of it.
        shape: Its dimensions.
        value: Its value, a numpy array, only where it had to be allocated because its
            initial value is a constant that no checkpoint holds.
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
        variables: What has to be in the SavedModel's bundle, without its texts.
        texts: Key to content of the scalar string tensors of the bundle.
        assets: Name below `assets/` to the file that goes there.
        known_by: Whether variables are known by names of their own (Keras, TF1), by the path of
            attributes that leads to them, or by the keys of the SavedModel that the graph is of.
        unreached: Variables of the network that no signature reaches, and no server needs.
        structure_places: Variable's name to its places by the order of layers
            (`redraw.export.graph.places`).
        saved_places: Variable's name to its places in Keras 3's files.
        former_places: The same in those of Keras 2.
        object_places: Variable's name to the paths of attributes that lead to it.
        order_places: Variable's name to the number of its layer and its own there.
        former_orders: The same in the orders that Keras 2 may have.
        own_names: Variable's name to what it calls itself.
        trained: Names of what an optimizer of Keras trains, in its order.
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
