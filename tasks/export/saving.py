"""Write the SavedModel: signatures by name, the served variables, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tasks.definition import ModelDefinition
from tasks.errors import InvalidDefinition, RedrawError
from tasks.records import Signature, TensorSpec

__all__ = ["save_model"]


def save_model(
    definition: ModelDefinition, network: Any, variables: Mapping[str, tf.Variable], folder: Path
) -> None:
    """Trace every signature of the definition and write the SavedModel.

    Args:
        definition: The model.
        network: What it drew for serving.
        variables: The network's weights by name, holding the values to serve.
        folder: Where `saved_model.pb` and `variables/` go.

    Raises:
        InvalidDefinition: `serve` raises, or answers something else than its signature says.
    """
    root = tf.Module()
    root.weights = [variables[name] for name in sorted(variables)]
    # Lookup tables and the like are no variables, but a server has to find them as well.
    root.resources = _resources(network)
    signatures = {
        name: _traced(definition, network, name, signature)
        for name, signature in definition.signatures.items()
    }
    tf.saved_model.save(root, str(folder), signatures=signatures)


def _resources(network: Any) -> list[Any]:
    if not isinstance(network, tf.Module) and not hasattr(network, "_trackable_children"):
        return []
    kind = tf.saved_model.experimental.TrackableResource
    return [child for child in tf.train.TrackableView(network).descendants() if isinstance(child, kind)]


def _traced(definition: ModelDefinition, network: Any, name: str, signature: Signature) -> Any:
    where = f"{type(definition).__module__}.{type(definition).__name__}.serve, signature {name!r}"

    def serve(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = definition.serve(network, name, inputs)
        return {output: tf.identity(outputs[output], name=output) for output in outputs}

    try:
        function = tf.function(serve).get_concrete_function(
            **{i: tf.TensorSpec(spec.shape, spec.dtype, i) for i, spec in signature.inputs.items()}
        )
    except RedrawError:
        raise
    except Exception as err:
        raise InvalidDefinition(
            f"{where}: fails with {type(err).__name__}: {err}. Mend the definition."
        ) from err
    _check_outputs(where, signature.outputs, function.structured_outputs)
    return function


def _check_outputs(where: str, expected: Mapping[str, TensorSpec], answered: Mapping[str, Any]) -> None:
    if set(answered) != set(expected):
        raise InvalidDefinition(
            f"{where}: expected outputs {sorted(expected)}, got {sorted(answered)}."
            " Answer what the signature names."
        )
    for name, spec in expected.items():
        got = answered[name]
        if got.dtype.name != spec.dtype or not got.shape.is_compatible_with(spec.shape):
            raise InvalidDefinition(
                f"{where}, output {name!r}: expected {spec}, got {got.dtype.name} {got.shape}."
                " Change the signature or the answer."
            )
