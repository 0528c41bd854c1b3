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
class Places:
    """The places of a network's variables.

    Attributes:
        by_structure: Name to places like `#3/kernel`: which layer with weights, and the
            attribute there (`redraw.checkpoint.objects.structure`).
        in_keras_files: Name to places in Keras 3's `.weights.h5`, like `layers/dense/vars/0`;
            empty if it is not a Keras model.
        in_keras_2_files: The same in Keras 2's `.keras` and `.weights.h5`.
        by_object: Name to the paths of attributes that a `tf.train.Checkpoint` would have.
        by_order: Name to `2/0`: the number of its layer among those with weights, and its own there.
        by_old_orders: The same in the orders that Keras 2 may have.
        own_names: Name to the variable's own `name`, which a `tf.train.Checkpoint` keeps.
        trained: Names of the variables that an optimizer trains, in Keras' order; empty if it is
            not a Keras model.
    """

    by_structure: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    in_keras_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    in_keras_2_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_object: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_old_orders: Sequence[Mapping[str, tuple[str, ...]]] = ()
    own_names: Mapping[str, str] = field(default_factory=dict)
    trained: tuple[str, ...] = ()


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
        places: The places of its variables in checkpoints that do not name them.
    """

    meta_graph: Any
    variables: tuple[DrawnVariable, ...]
    texts: Mapping[str, bytes] = field(default_factory=dict)
    assets: Mapping[str, Path] = field(default_factory=dict)
    known_by: Literal["name", "path", "key"] = "name"
    unreached: tuple[DrawnVariable, ...] = ()
    places: Places = field(default_factory=Places)
