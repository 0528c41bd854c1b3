"""TF1 graph functions: what training, export and validation of them share.

Variables are resource variables: what reads them before or after an update is defined,
where with reference variables it is a race. In their place `Saver.restore` puts a tensor
of any shape without a word, so that every restore goes through `restore_by_name`, which
holds shapes and dtypes to the checkpoint's first.
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
    """Draw what answers one signature into the graph that is being built.

    Raises:
        InvalidDefinition: `serve` raises, or answers something else than the signature says.
    """
    signature = definition.signatures[name]
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve, signature {name!r}"
    with running_user_code(where):
        inputs = {
            key: tf.compat.v1.placeholder(spec.dtype, spec.shape, name=_operation_name(f"{name}_{key}"))
            for key, spec in signature.inputs.items()
        }
        # No server holds a request to the shapes of a signature; so the graph does it.
        held = {key: tf.ensure_shape(inputs[key], spec.shape) for key, spec in signature.inputs.items()}
        answered = {**definition.serve(network, name, held)}
    check_outputs(where, signature.outputs, {key: (t.dtype, t.shape) for key, t in answered.items()})
    # An identity each, for one tensor may answer under two names, or be an input.
    # Inputs that nothing uses are checked against their shapes as well.
    with tf.control_dependencies([*held.values()]):
        outputs = {
            key: tf.identity(answered[key], name=_operation_name(f"{name}_{key}_answer"))
            for key in signature.outputs
        }
    return DrawnSignature(inputs=inputs, outputs=outputs)


def group_by_saved_name(variables: Iterable[Any]) -> dict[str, list[Any]]:
    """Variables under the names that a Saver gives them in a checkpoint.

    Args:
        variables: Variables of one graph; of a partitioned one, its parts.

    Returns:
        Name to the variable, or to all parts of a partitioned one.
    """
    groups: dict[str, list[Any]] = {}
    for variable in variables:
        part = saved_slice(variable)
        groups.setdefault(part.full_name if part else variable.op.name, []).append(variable)
    return groups


def whole_shape(parts: Sequence[Any]) -> tuple[int, ...]:
    """The shape of the whole that a group of `group_by_saved_name` makes up."""
    part = saved_slice(parts[0])
    return tuple(part.full_shape if part else parts[0].shape.as_list())


def with_averages(names: Iterable[str], held: Iterable[str]) -> dict[str, str]:
    """Which tensor of a checkpoint to serve for each variable, if averages are to be served.

    As `tf.train.ExponentialMovingAverage.variables_to_restore` has it: what has no average,
    such as batch statistics, is served as it is.

    Args:
        names: The variables, as a Saver names them.
        held: The checkpoint's tensors.

    Returns:
        Variable name to tensor name.

    Raises:
        CheckpointMismatch: The checkpoint holds no average of any of them.
    """
    known = set(held)
    averages = find_averages(known | joined_names(known), None)
    chosen = {name: averages.get(name, name) for name in names}
    if not averages.keys() & chosen.keys():
        raise CheckpointMismatch(
            f"expected average weights (NAME{AVERAGE_SUFFIX}) in the checkpoint, got none."
            " Serve the raw weights, or train with a moving average."
        )
    return chosen


def restore_by_name(session: Any, prefix: Path, sources: Mapping[str, Sequence[Any]]) -> None:
    """Restore variables from a checkpoint by TensorFlow's own Saver, in the default graph.

    Args:
        session: A session of that graph.
        prefix: The checkpoint.
        sources: Tensor name in the checkpoint to the variable, or to its parts.

    Raises:
        CheckpointCorrupt: The checkpoint is not whole.
        CheckpointMismatch: It lacks one of the tensors, or holds it in another shape or dtype.
    """
    joined = check_fit(prefix, sources)
    named = {key: parts[0] if len(parts) == 1 else list(parts) for key, parts in sources.items()}
    whole = {key: variables for key, variables in named.items() if key not in joined}
    tf.compat.v1.train.Saver(whole, allow_empty=True).restore(session, str(prefix))
    # A Saver knows no variable under the names of its parts.
    reader = tf.train.load_checkpoint(str(prefix))
    for key in joined.keys() & sources.keys():
        values = [reader.get_tensor(part) for part in joined[key].parts]
        for variable in sources[key]:
            variable.load(_own_part(variable, np.concatenate(values, joined[key].axis)), session)


def _own_part(variable: Any, whole: np.ndarray) -> np.ndarray:
    part = saved_slice(variable)
    if part is None:
        return whole
    return whole[tuple(slice(a, a + n) for a, n in zip(part.offset, part.shape, strict=True))]


def check_fit(prefix: Path, sources: Mapping[str, Sequence[Any]]) -> Mapping[str, Joined]:
    """Hold the variables that are to be restored to what a checkpoint has for them.

    Returns:
        What of it is stored in parts with names of their own.

    Raises:
        CheckpointMismatch: As `restore_by_name`.
    """
    held = TensorBundle(prefix).entries
    joined = find_joined(held, {key: whole_shape(parts) for key, parts in sources.items()})
    entries = {**held, **{key: whole.entry for key, whole in joined.items()}}
    for key, parts in sorted(sources.items()):
        want = f"{parts[0].dtype.base_dtype.name} {list(whole_shape(parts))}"
        got = f"{entries[key].dtype} {list(entries[key].shape)}" if key in entries else "none"
        if want != got:
            raise CheckpointMismatch(
                f"{prefix}, tensor {key!r}: expected {want}, got {got}."
                " Use the definition that trained it, or name another checkpoint."
            )
    return joined


def _operation_name(text: str) -> str:
    """The nearest that TensorFlow allows for an operation's name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", re.sub(r"^[^A-Za-z0-9.]", "x", text))
