"""Trace a definition's `serve` into one function for each signature."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf

from redraw.definition import ModelDefinition
from redraw.definition.user_code import running_user_code
from redraw.export.graph.argument_names import argument_names, operation_name
from redraw.export.graph.declared import Declarations
from redraw.networks.conversion import trace_function
from redraw.networks.modules import renew_derived_constants
from redraw.records import Signature


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

    Raises:
        InvalidDefinition: `serve` raises.
        NeedsConversion: It raises without autograph, which the declarations did not ask for.
    """
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve, signature {name!r}"
    names = argument_names(signature.inputs)

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        with declarations.in_force():
            renew_derived_constants(network)
            # No server holds a request to the shapes of a signature, and a layer that gets
            # others may kill it: oneDNN's convolution aborts the process on another rank.
            held = {i: tf.ensure_shape(inputs[names[i]], spec.shape) for i, spec in signature.inputs.items()}
            outputs = definition.serve(network, name, held)
            with tf.control_dependencies([*held.values()]):  # of inputs that nothing uses as well
                return {o: tf.identity(outputs[o], name=operation_name(o)) for o in outputs}

    # What fails without autograph is not an error yet.
    with running_user_code(where) if declarations.converted else contextlib.nullcontext():
        return trace_function(
            serve,
            converted=declarations.converted,
            **{names[i]: tf.TensorSpec(s.shape, s.dtype, names[i]) for i, s in signature.inputs.items()},
        )
