"""Networks of any kind, drawn and compared by the names of their variables.

Keras models are known by their variables' paths (`conv_1/kernel`), which do not
change when a layer without weights is left out; `tf.Module`s by the path of
attributes that leads to each variable (`layers/0/kernel`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from redraw.compat.keras import every_layer
from redraw.definition import Mode, ModelDefinition
from redraw.definition.user_code import running_user_code
from redraw.errors import InvalidDefinition

__all__ = [
    "copy_weights",
    "draw_network",
    "is_random_state",
    "known_by_own_names",
    "renew_derived_constants",
    "weights_by_name",
]


def draw_network(
    definition: ModelDefinition, mode: Mode, scope: AbstractContextManager[None] | None = None
) -> Any:
    """Call the definition's `build`, with Keras' automatic layer names starting afresh.

    Args:
        definition: The model.
        mode: What the graph is for.
        scope: What `build` runs in, such as a variable creator scope. It is entered here, for
            starting afresh ends those that are entered before.

    Returns:
        The network: callable, with `variables`.

    Raises:
        InvalidDefinition: `build` raises, or returns something that is no network.
    """
    # Automatic names ("dense_1") count up through a process; a network drawn twice has to
    # come out with the same names, for names say which weights belong where.
    keras.backend.clear_session(free_memory=False)
    where = f"{type(definition).__module__}.{type(definition).__name__}.build({mode})"
    with running_user_code(where), scope or contextlib.nullcontext():
        network = definition.build(mode)
    if not callable(network) or not hasattr(network, "variables"):
        raise InvalidDefinition(
            f"{where}: expected a Keras model or a tf.Module, got {type(network).__name__}."
            " Return a callable with variables."
        )
    return network


def weights_by_name(network: Any) -> dict[str, Any]:
    """The variables that hold weights, as `tf.Variable`s under their names.

    The states of random generators (dropout keeps one) are left out: they are no weights.

    Raises:
        InvalidDefinition: Two variables have one name.
    """
    found: dict[str, Any] = {}
    for name, variable in _named_variables(network):
        if found.setdefault(name, variable) is not variable:
            raise InvalidDefinition(
                f"network {type(network).__name__}: two variables are called {name!r}, so a checkpoint"
                " cannot tell them apart. Give their layers names of their own."
            )
    return {name: variable for name, variable in found.items() if not is_random_state(name)}


def is_random_state(name: str) -> bool:
    """Whether a variable of that name holds the state of a random generator."""
    return name.rpartition("/")[2] == "seed_generator_state"


def known_by_own_names(network: Any) -> bool:
    """Whether a network's variables have names of their own (Keras), or only a path to them."""
    return isinstance(network, keras.Model)


def copy_weights(source: Any, target: Any) -> None:
    """Assign every weight of `target` from the weight of that name in `source`.

    Raises:
        InvalidDefinition: `source` lacks one, or holds it in another shape.
    """
    values = weights_by_name(source)
    for name, variable in weights_by_name(target).items():
        if name not in values or values[name].shape != variable.shape:
            raise InvalidDefinition(
                f"variable {name!r} {variable.shape}: expected the same in the training network, got"
                f" {values[name].shape if name in values else 'none'}. Give layers equal names in every mode."
            )
        variable.assign(values[name])
    renew_derived_constants(target)


# Converting it for every function that is traced takes longer than running it.
@tf.autograph.experimental.do_not_convert
def renew_derived_constants(network: Any) -> None:
    """Make again what layers keep as constants that they once computed from their weights.

    Keras' Normalization does, of its mean and variance, when it is built; weights that come
    later, from a checkpoint, would change nothing. In a function that is traced it reads them
    in the graph.
    """
    if known_by_own_names(network):
        for layer in every_layer(network):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()


def _named_variables(network: Any) -> Iterator[tuple[str, Any]]:
    if known_by_own_names(network):
        for variable in network.variables:
            yield variable.path, variable.value
    else:
        yield from _variables_by_path(network)


def _variables_by_path(root: Any) -> Iterator[tuple[str, Any]]:
    view, seen, queue = tf.train.TrackableView(root), {id(root)}, [("", root)]
    for path, node in queue:
        children: Mapping[str, Any] = view.children(node)
        for name, child in children.items():
            if id(child) in seen:
                continue
            seen.add(id(child))
            queue.append((f"{path}/{name}" if path else name, child))
            if isinstance(child, tf.Variable):
                yield queue[-1]
