"""Find the variables, tables and assets that the signatures of a network use."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from redraw.compat.tensorflow import is_trackable
from redraw.errors import InvalidDefinition
from redraw.export.graph.declared import is_declared
from redraw.networks.modules import weights_by_name

logger = logging.getLogger(__name__)

_Table = tf.saved_model.experimental.TrackableResource


@dataclass(frozen=True, kw_only=True)
class Captures:
    """The state that functions capture.

    Attributes:
        variables: Name to captured variable of the network, sorted by name.
        others: Name to variable of the network that is not captured.
        constants: Name to captured variable outside of the network: it is in no checkpoint,
            and never changes.
        resources: Tables and assets.
    """

    variables: Mapping[str, Any]
    others: Mapping[str, Any]
    constants: Mapping[str, Any]
    resources: list[Any]


def find_captures(network: Any, functions: Iterable[Any]) -> Captures:
    """Find the state that functions capture.

    Args:
        network: The definition's network; it was called at least once, so that it is complete.
        functions: Its concrete functions.

    Raises:
        InvalidDefinition: A function captures a variable outside of the network that training
            may change.
    """
    traced = list(functions)
    captured = {id(tensor) for function in traced for tensor in function.captured_inputs}
    weights, resources = weights_by_name(network), _resources(network)
    owned = {id(variable.handle) for variable in weights.values()}
    strangers = {
        id(v.handle): v
        for function in traced
        for v in function.graph.variables
        if id(v.handle) in captured - owned
    }
    constants = dict(_constants(strangers.values()))
    served_resources = {
        *owned,
        *(id(v.handle) for v in constants.values()),
        *(id(_captured_tensor(r)) for r in resources),
    }
    _demand_known(traced, served_resources)
    return Captures(
        variables={n: v for n, v in sorted(weights.items()) if id(v.handle) in captured},
        others={n: v for n, v in weights.items() if id(v.handle) not in captured},
        constants=constants,
        resources=[r for r in resources if id(_captured_tensor(r)) in captured],
    )


def _constants(variables: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for number, variable in enumerate(variables):
        if variable.trainable or is_declared(variable):
            raise InvalidDefinition(
                f"serve reads the variable {variable.name!r}, which the network does not track, so no"
                " checkpoint has its value. Add the variable to the network: with add_weight in a Keras"
                " layer, or as an attribute of a tf.Module."
            )
        logger.warning(
            "variable %s: the network does not hold it; it is served with the value that the definition"
            " gives it",
            variable.name,
        )
        yield f"constants/{number}", variable


def _demand_known(functions: Iterable[Any], served_resources: set[int]) -> None:
    """Check that a server will have every resource, such as a table, that a function captures."""
    for function in functions:
        for tensor in function.captured_inputs:
            if tensor.dtype == tf.resource and id(tensor) not in served_resources:
                raise InvalidDefinition(
                    f"serve reads a resource, such as a table ({_named(function, tensor)}), that the"
                    " network does not track, so no server would have it. Make the table, or the layer"
                    " that holds it, an attribute of the network that build returns."
                )


def _named(function: Any, tensor: Any) -> str:
    inner = next((placeholder for outer, placeholder in function.graph.captures if outer is tensor), None)
    if inner is None:
        return "unnamed"
    users = sorted({operation.type for operation in inner.consumers()})
    return f"used by {', '.join(users)}" if users else "used by nothing"


def _resources(network: Any) -> list[Any]:
    if not is_trackable(network):
        return []
    kinds = (_Table, tf.saved_model.Asset)
    return [child for child in tf.train.TrackableView(network).descendants() if isinstance(child, kinds)]


def _captured_tensor(resource: Any) -> Any:
    return resource.resource_handle if isinstance(resource, _Table) else resource.asset_path
