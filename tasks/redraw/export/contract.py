"""Hold a drawn graph to the signatures that the definition promises."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from redraw.definition import ModelDefinition
from redraw.networks.outputs import check_outputs

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
        infos = meta_graph.signature_def[name].outputs
        answered = {
            key: (tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)) for key, info in infos.items()
        }
        check_outputs(f"{where}, signature {name!r}", signature.outputs, answered)
