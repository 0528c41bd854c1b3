"""What Redraw uses of TensorFlow that is not its public API; all of it is that of TensorFlow 2.21."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph, op_def_registry
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable as _UninitializedVariable
from tensorflow.python.saved_model import save
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

# A variable that has a shape and a dtype and no memory. The public tf.Variable needs an initial value.
# TensorFlow makes the variables of the graphs that it saves of this class. It ends with a public class.
UninitializedVariable = _UninitializedVariable


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Which part of a partitioned variable one of its variables is.

    Attributes:
        full_name: The name of the whole.
        full_shape: Its shape.
        offset: Where the part begins.
        shape: The part's shape.
    """

    full_name: str
    full_shape: tuple[int, ...]
    offset: tuple[int, ...]
    shape: tuple[int, ...]


def saved_slice(variable: Any) -> Slice | None:
    """Which part of what a TF1 variable is, as a `Saver` asks; None if it is whole.

    TensorFlow has no public way. It ends with TF1's partitioned variables.
    """
    info = variable._get_save_slice_info()
    if info is None:
        return None
    return Slice(
        full_name=info.full_name,
        full_shape=tuple(info.full_shape),
        offset=tuple(info.var_offset),
        shape=tuple(info.var_shape),
    )


def partitions(variable: Any) -> Any:
    """How a `PartitionedVariable` of TF1 is cut; None for any other variable.

    TF1's class is not public. It ends with TF1's partitioned variables.
    """
    asked = getattr(variable, "_get_partitions", None)
    return None if asked is None else asked()


def is_reference(dtype: tf.DType) -> bool:
    """Whether a tensor of that dtype is a reference, as TF1's first variables and tables are.

    `dtype.is_ref` is not public, and comparing with `tf.dtypes` needs a dtype that has no public name.
    """
    return bool(dtype._is_ref_dtype)


def scratch_graph(name: str) -> AbstractContextManager[Any]:
    """A function's graph to trace in, that nothing runs.

    A plain `tf.Graph` refuses tensors from outside, which an initializer may use; `tf.__internal__` has no
    promise to stay. It ends with a public FuncGraph.
    """
    graph: AbstractContextManager[Any] = tf.__internal__.FuncGraph(name).as_default()
    return graph


def build_meta_graph(root: Any, functions: Mapping[str, Any], options: Any) -> tuple[Any, dict[Any, Any]]:
    """`tf.saved_model.save` in all but its last step, which reads the variables to write a checkpoint.

    The public function always writes. It ends with a way to save only a graph.

    Args:
        root: The object to save.
        functions: Signature to concrete function.
        options: `tf.saved_model.SaveOptions`.

    Returns:
        The MetaGraphDef, and the name of each asset with its file's path.
    """
    meta_graph, _, _, assets, _, _ = save._build_meta_graph(root, functions, options)
    return meta_graph, assets.asset_filename_map


def follow(owner: Any, name: str, held: Any) -> None:
    """Have checkpoints of an object hold a list or dict under a name, as if it were an attribute.

    Layers of Keras 3 keep TensorFlow from following their lists and dicts, and an attribute that
    TensorFlow follows cannot be added to them. It ends with a Keras that follows its own.
    """
    owner._track_trackable(tf.__internal__.tracking.wrap(held), name, overwrite=True)


def fingerprint(folder: Path) -> bytes:
    """A `FingerprintDef` of a SavedModel's files, as `tf.saved_model.save` writes it.

    The public `tf.saved_model.experimental.read_fingerprint` reads one and makes none.
    """
    made: bytes = fingerprinting.CreateFingerprintDef(str(folder))
    return made


def flat_function(function: Any) -> tuple[Any, Mapping[str, str]]:
    """A function's body as a graph; what it calls has to be known to the default graph.

    `tf.function` can only call one. It ends with a public way to open a function of a SavedModel.

    Returns:
        The GraphDef, its arguments as placeholders, and the function's names of tensors to the graph's.
    """
    body, names = function_def_to_graph.function_def_to_graph_def(function)
    return body, names


def hide_accelerators() -> None:
    """Let this process draw as where there is no GPU and no TPU: Keras draws other operations for them.

    TensorFlow refuses it once it has looked for devices; the check `accelerator-ops` finds what came of it.
    """
    for kind in ("GPU", "TPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], kind)


def is_trackable(network: Any) -> bool:
    """Whether TensorFlow saves what the object holds; the class `Trackable` is not public."""
    return hasattr(network, "_trackable_children")


def copy_to_cpu(variable: tf.Variable, copies: dict[Any, Any]) -> Any:
    """Copy a variable's value for an asynchronous checkpoint, as TensorFlow's own hook does.

    Args:
        variable: The variable.
        copies: Variable to its copy, which is added.
    """
    variable._copy_trackable_to_cpu(copies)
    return copies[variable]


def mark_slice(variable: Any, part: Slice) -> None:
    """Say of a TF1 variable which part of what it is, as `get_variable` does with a partitioner.

    TensorFlow has no public way for parts that were cut before. It ends with TF1's partitioned variables.
    """
    info = tf.Variable.SaveSliceInfo(
        full_name=part.full_name,
        full_shape=list(part.full_shape),
        var_offset=list(part.offset),
        var_shape=list(part.shape),
    )
    variable._set_save_slice_info(info)


def operation_definition(name: str) -> Any | None:
    """The `OpDef` of an operation; None if this TensorFlow does not have it.

    `tf.raw_ops` lists only the public ones, and without their attributes. It ends with a public registry.
    """
    return op_def_registry.get(name)
