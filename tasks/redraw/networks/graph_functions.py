"""TF1 graph functions: code that their training, export and validation share.

Variables are resource variables: the order of reads and updates is defined, which is a race
with reference variables. `Saver.restore` silently accepts a tensor of any shape for them,
so every restore goes through `restore_by_name`, which first checks shapes and dtypes
against the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.formats.parts import Joined, find_joined, joined_names
from redraw.checkpoint.objects.averages import AVERAGE_SUFFIX, find_averages
from redraw.compat.tensorflow import saved_slice
from redraw.definition import ModelDefinition
from redraw.definition.user_code import running_user_code
from redraw.errors import CheckpointMismatch
from redraw.networks.outputs import check_outputs


@dataclass(frozen=True, kw_only=True)
class DrawnSignature:
    """A signature in a graph.

    Attributes:
        inputs: Input name to placeholder.
        outputs: Output name to tensor.
    """

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def draw_signature(definition: ModelDefinition, network: Any, name: str) -> DrawnSignature:
    """Draw one signature into the current graph.

    Raises:
        InvalidDefinition: `serve` raises, or returns other outputs than the signature declares.
    """
    signature = definition.signatures[name]
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve, signature {name!r}"
    with running_user_code(where):
        inputs = {
            key: tf.compat.v1.placeholder(spec.dtype, spec.shape, name=operation_name(f"{name}_{key}"))
            for key, spec in signature.inputs.items()
        }
        # A server does not check a request's shapes against the signature, so the graph does it.
        checked = {key: tf.ensure_shape(inputs[key], spec.shape) for key, spec in signature.inputs.items()}
        results = {**definition.serve(network, name, checked)}
    check_outputs(where, signature.outputs, {key: (t.dtype, t.shape) for key, t in results.items()})
    # An identity for each output, because a tensor may be two outputs, or an input.
    # This also checks the shapes of unused inputs.
    with tf.control_dependencies([*checked.values()]):
        outputs = {
            key: tf.identity(results[key], name=operation_name(f"{name}_{key}_answer"))
            for key in signature.outputs
        }
    return DrawnSignature(inputs=inputs, outputs=outputs)


def group_by_saved_name(variables: Iterable[Any]) -> dict[str, list[Any]]:
    """Group variables by the names that a Saver gives them in a checkpoint.

    Args:
        variables: Variables of one graph; a partitioned one is given by its parts.

    Returns:
        Name to the variable, or to all parts of a partitioned one.
    """
    groups: dict[str, list[Any]] = {}
    for variable in variables:
        part = saved_slice(variable)
        groups.setdefault(part.full_name if part else variable.op.name, []).append(variable)
    return groups


def whole_shape(parts: Sequence[Any]) -> tuple[int, ...]:
    """The full shape of a group of `group_by_saved_name`."""
    part = saved_slice(parts[0])
    return tuple(part.full_shape if part else parts[0].shape.as_list())


def with_averages(names: Iterable[str], tensors: Iterable[str]) -> dict[str, str]:
    """Choose the checkpoint's tensor for each variable when averages are served.

    Like `tf.train.ExponentialMovingAverage.variables_to_restore`, it serves the raw value of a
    variable that has no average, such as batch statistics.

    Args:
        names: The variables' names in a Saver.
        tensors: The checkpoint's tensors.

    Returns:
        Variable name to tensor name.

    Raises:
        CheckpointMismatch: The checkpoint has no average of any of them.
    """
    keys = set(tensors)
    averages = find_averages(keys | joined_names(keys), None)
    chosen = {name: averages.get(name, name) for name in names}
    if not averages.keys() & chosen.keys():
        raise CheckpointMismatch(
            f"expected average weights (NAME{AVERAGE_SUFFIX}) in the checkpoint, got none. Export with"
            " --weights raw, or train with average_decay."
        )
    return chosen


def restore_by_name(session: Any, prefix: Path, sources: Mapping[str, Sequence[Any]]) -> None:
    """Restore variables from a checkpoint by TensorFlow's own Saver, in the default graph.

    Args:
        session: A session of that graph.
        prefix: The checkpoint.
        sources: Tensor name in the checkpoint to the variable, or to its parts.

    Raises:
        CheckpointCorrupt: The checkpoint is damaged.
        CheckpointMismatch: It lacks a tensor, or has it with another shape or dtype.
    """
    joined = check_fit(prefix, sources)
    named = {key: parts[0] if len(parts) == 1 else list(parts) for key, parts in sources.items()}
    unpartitioned = {key: variables for key, variables in named.items() if key not in joined}
    tf.compat.v1.train.Saver(unpartitioned, allow_empty=True).restore(session, str(prefix))
    # A Saver cannot restore a variable from the names of its parts.
    reader = tf.train.load_checkpoint(str(prefix))
    for key in joined.keys() & sources.keys():
        values = [reader.get_tensor(part) for part in joined[key].parts]
        for variable in sources[key]:
            variable.load(_own_part(variable, np.concatenate(values, joined[key].axis)), session)


def _own_part(variable: Any, value: np.ndarray) -> np.ndarray:
    part = saved_slice(variable)
    if part is None:
        return value
    return value[tuple(slice(a, a + n) for a, n in zip(part.offset, part.shape, strict=True))]


def check_fit(prefix: Path, sources: Mapping[str, Sequence[Any]]) -> Mapping[str, Joined]:
    """Check variables to restore against a checkpoint.

    Returns:
        The tensors that are stored in parts with names of their own.

    Raises:
        CheckpointMismatch: It lacks a tensor, or has it with another shape or dtype.
    """
    stored = TensorBundle(prefix).entries
    joined = find_joined(stored, {key: whole_shape(parts) for key, parts in sources.items()})
    entries = {**stored, **{key: tensor.entry for key, tensor in joined.items()}}
    for key, parts in sorted(sources.items()):
        expected = f"{parts[0].dtype.base_dtype.name} {list(whole_shape(parts))}"
        actual = f"{entries[key].dtype} {list(entries[key].shape)}" if key in entries else "none"
        if expected != actual:
            raise CheckpointMismatch(
                f"{prefix}, tensor {key!r}: expected {expected}, got {actual}. Use the definition that"
                " trained the checkpoint, or name another checkpoint."
            )
    return joined


def operation_name(text: str) -> str:
    """The nearest name that TensorFlow allows for an operation."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", re.sub(r"^[^A-Za-z0-9.]", "x", text))
