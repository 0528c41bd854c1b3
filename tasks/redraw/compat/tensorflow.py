"""Uses of TensorFlow outside of its public API; all of it is that of TensorFlow 2.21."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph, op_def_registry
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable as _UninitializedVariable
from tensorflow.python.saved_model import save
from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

# A variable with a shape and a dtype but no memory. The public tf.Variable needs an initial value.
# TensorFlow uses this class for the variables of the graphs that it saves. It ends with a public class.
UninitializedVariable = _UninitializedVariable


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The part of a partitioned variable that one of its variables holds.

    Attributes:
        full_name: The name of the whole variable.
        full_shape: The shape of the whole variable.
        offset: The beginning of the part in each dimension.
        shape: The part's shape.
    """

    full_name: str
    full_shape: tuple[int, ...]
    offset: tuple[int, ...]
    shape: tuple[int, ...]


@contextlib.contextmanager
def caching_device_restored() -> Iterator[None]:
    """Restore the caching device of the variable scope when the block ends.

    `tf.map_fn`, `tf.scan`, `tf.foldl` and `tf.nn.dynamic_rnn` set it while they call a function, and leave it
    set if the function raises. Then a later `MirroredStrategy` fails, and TF1 variables are read through a
    copy. In eager mode the public setter refuses any value. This ends if TensorFlow restores it itself.
    """
    scope = tf.compat.v1.get_variable_scope()
    caching_device = scope.caching_device
    try:
        yield
    finally:
        scope._caching_device = caching_device


def saved_slice(variable: Any) -> Slice | None:
    """The slice that a TF1 variable is, which a `Saver` uses; None if it is a whole variable.

    TensorFlow has no public API for it. It ends with TF1's partitioned variables.
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
    """The partitions of a TF1 `PartitionedVariable`; None for any other variable.

    TF1's class is not public. It ends with TF1's partitioned variables.
    """
    get_partitions = getattr(variable, "_get_partitions", None)
    return None if get_partitions is None else get_partitions()


def is_reference(dtype: tf.DType) -> bool:
    """Whether a tensor of that dtype is a reference, like TF1's first variables and tables.

    `dtype.is_ref` is not public, and comparing with `tf.dtypes` needs a dtype that has no public name.
    """
    return bool(dtype._is_ref_dtype)


def scratch_graph(name: str) -> AbstractContextManager[Any]:
    """A function's graph for tracing, which never runs.

    A plain `tf.Graph` refuses tensors from outside, which an initializer may use; `tf.__internal__` is not a
    stable API. It ends with a public FuncGraph.
    """
    graph: AbstractContextManager[Any] = tf.__internal__.FuncGraph(name).as_default()
    return graph


def build_meta_graph(root: Any, functions: Mapping[str, Any], options: Any) -> tuple[Any, dict[Any, Any]]:
    """`tf.saved_model.save` without its last step, which reads the variables to write a checkpoint.

    The public function always writes. It ends with a public API to save only a graph.

    Args:
        root: The object to save.
        functions: Signature to concrete function.
        options: `tf.saved_model.SaveOptions`.

    Returns:
        The MetaGraphDef, and the name of each asset with its file's path.
    """
    meta_graph, _, _, assets, _, _ = save._build_meta_graph(root, functions, options)
    return meta_graph, assets.asset_filename_map


def follow(owner: Any, name: str, value: Any) -> None:
    """Let checkpoints of an object include a list or dict under a name, as if it were an attribute.

    Layers of Keras 3 keep TensorFlow from following their lists and dicts, and an attribute that
    TensorFlow follows cannot be added to them. It ends with a Keras that follows its own.
    """
    owner._track_trackable(tf.__internal__.tracking.wrap(value), name, overwrite=True)


def fingerprint(folder: Path) -> bytes:
    """A `FingerprintDef` of a SavedModel's files, the same that `tf.saved_model.save` writes.

    The public `tf.saved_model.experimental.read_fingerprint` only reads one.
    """
    definition: bytes = fingerprinting.CreateFingerprintDef(str(folder))
    return definition


def flat_function(function: Any) -> tuple[Any, Mapping[str, str]]:
    """A function's body as a graph; the default graph has to contain the functions that it calls.

    `tf.function` can only call one. It ends with a public API to open a function of a SavedModel.

    Returns:
        The GraphDef, its arguments as placeholders, and the function's names of tensors to the graph's.
    """
    body, names = function_def_to_graph.function_def_to_graph_def(function)
    return body, names


def hide_accelerators() -> None:
    """Hide GPUs and TPUs from this process, because Keras builds other operations for them.

    TensorFlow refuses it after it has listed devices; the check `accelerator-ops` finds such operations.
    """
    for kind in ("GPU", "TPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], kind)


def is_trackable(network: Any) -> bool:
    """Whether TensorFlow saves the object's attributes; the class `Trackable` is not public."""
    return hasattr(network, "_trackable_children")


def copy_to_cpu(variable: tf.Variable, copies: dict[Any, Any]) -> Any:
    """Copy a variable's value for an asynchronous checkpoint by TensorFlow's own hook.

    Args:
        variable: The variable.
        copies: Variable to its copy; this copy is added.
    """
    variable._copy_trackable_to_cpu(copies)
    return copies[variable]


def mark_slice(variable: Any, part: Slice) -> None:
    """Mark a TF1 variable as a slice, which `get_variable` does with a partitioner.

    TensorFlow has no public API for existing parts. It ends with TF1's partitioned variables.
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
