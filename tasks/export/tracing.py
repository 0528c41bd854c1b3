"""Trace a definition's `serve` into one function for each signature."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tasks.definition import ModelDefinition
from tasks.errors import InvalidDefinition, RedrawError
from tasks.export.declared import Declarations
from tasks.networks import renew_derived_constants
from tasks.records import Signature

__all__ = ["trace_signature"]


def trace_signature(
    definition: ModelDefinition, network: Any, name: str, signature: Signature, declarations: Declarations
) -> Any:
    """Trace one signature.

    Args:
        definition: The model.
        network: What it drew for serving.
        name: The signature's name.
        signature: Its inputs and outputs.
        declarations: How variables that `serve` is the first to need are made.

    Returns:
        The concrete function.

    Raises:
        InvalidDefinition: `serve` raises.
    """
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve, signature {name!r}"

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with declarations.in_force():
            renew_derived_constants(network)
            outputs = definition.serve(network, name, inputs)
            return {output: tf.identity(outputs[output], name=output) for output in outputs}

    try:
        return tf.function(serve).get_concrete_function(
            **{i: tf.TensorSpec(spec.shape, spec.dtype, i) for i, spec in signature.inputs.items()}
        )
    except RedrawError:
        raise
    except Exception as err:
        raise InvalidDefinition(
            f"{where}: fails with {type(err).__name__}: {err}. Mend the definition."
        ) from err
