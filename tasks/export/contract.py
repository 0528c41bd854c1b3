"""Hold a drawn graph to the signatures that the definition promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tasks.definition import ModelDefinition
from tasks.errors import InvalidDefinition
from tasks.records import TensorSpec

__all__ = ["check_answers"]


def check_answers(definition: ModelDefinition, meta_graph: Any) -> None:
    """Compare the outputs of every signature with what the definition says of them.

    Args:
        definition: The model.
        meta_graph: The `MetaGraphDef` that was drawn of it.

    Raises:
        InvalidDefinition: A signature answers under another name, or with another dtype or shape.
    """
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve"
    for name, signature in definition.signatures.items():
        answered = meta_graph.signature_def[name].outputs
        _check_outputs(f"{where}, signature {name!r}", signature.outputs, answered)


def _check_outputs(where: str, expected: Mapping[str, TensorSpec], answered: Mapping[str, Any]) -> None:
    if set(answered) != set(expected):
        raise InvalidDefinition(
            f"{where}: expected outputs {sorted(expected)}, got {sorted(answered)}."
            " Answer what the signature names."
        )
    for name, spec in expected.items():
        dtype, shape = tf.as_dtype(answered[name].dtype), tf.TensorShape(answered[name].tensor_shape)
        if dtype.name != spec.dtype or not shape.is_compatible_with(spec.shape):
            raise InvalidDefinition(
                f"{where}, output {name!r}: expected {spec}, got {dtype.name} {shape}."
                " Change the signature or the answer."
            )
