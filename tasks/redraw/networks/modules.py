"""Build networks of any kind, and compare them by the names of their variables.

The names of a Keras model are its variables' paths (`conv_1/kernel`), which do not change
if a layer without weights is left out. The names of a `tf.Module` are the paths of
attributes to each variable (`layers/0/kernel`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from redraw.compat.keras import every_layer, inner_layers
from redraw.definition import Mode, ModelDefinition
from redraw.definition.user_code import batches_of, running_user_code
from redraw.errors import InvalidDefinition
from redraw.networks.containers import follow_containers


def draw_network(
    definition: ModelDefinition, mode: Mode, scope: AbstractContextManager[None] | None = None
) -> Any:
    """Call the definition's `build` after resetting Keras' counters of layer names.

    Args:
        definition: The model.
        mode: The purpose of the graph.
        scope: The scope for `build`, such as a variable creator scope. It is entered here,
            because the reset ends scopes that were entered before.

    Returns:
        The network: callable, with `variables`.

    Raises:
        InvalidDefinition: `build` raises, or does not return a network.
    """
    # Automatic names ("dense_1") have a counter of the process. A network that is built twice
    # needs the same names, because names assign the weights.
    keras.backend.clear_session(free_memory=False)
    where = f"{type(definition).__module__}.{type(definition).__name__}.build({mode})"
    with running_user_code(where), scope or contextlib.nullcontext():
        network = definition.build(mode)
    if not callable(network) or not hasattr(network, "variables"):
        raise InvalidDefinition(
            f"{where}: expected a Keras model or a tf.Module, got {type(network).__name__}."
            " Return a callable with variables."
        )
    follow_containers(layers_of(network))
    return network


def build_layers(
    definition: ModelDefinition, network: Any, mode: Mode, scope: AbstractContextManager[None]
) -> None:
    """Let layers create the variables that Keras creates at their first call.

    An optimizer, an average and a copy of the weights only include existing variables.

    Args:
        definition: The model.
        network: Its network for the mode.
        mode: The purpose of the graph.
        scope: The scope in which `build` ran.

    Raises:
        InvalidDefinition: `call` raises.
    """
    if all(layer.built for layer in layers_of(network)):
        return
    where = f"{type(definition).__module__}.{type(definition).__name__}.call({mode})"
    with running_user_code(where), scope:
        features = batches_of(definition, "training_data").element_spec[0]
        tf.function(definition.call).get_concrete_function(network, features, mode)
    follow_containers(layers_of(network))


def weights_by_name(network: Any) -> dict[str, Any]:
    """The variables that hold weights, by name, as `tf.Variable`s.

    The states of random generators, such as that of dropout, are not included. Variables with the same name
    are distinguished by the layers that contain them, `left/dense/kernel`. A bare `tf.Variable` of a Keras
    layer, which Keras does not track, is named after its layer and its attribute.
    """
    named = _named_by_keras(network) if known_by_own_names(network) else dict(_variables_by_path(network))
    return {name: variable for name, variable in named.items() if not is_random_state(name)}


def bare_variables(network: Any) -> dict[str, Any]:
    """The `tf.Variable`s of Keras' layers that Keras does not track or train, by name."""
    if not known_by_own_names(network):
        return {}
    known_to_keras = {id(variable.value) for variable in network.variables}
    return {name: v for name, v in weights_by_name(network).items() if id(v) not in known_to_keras}


def demand_trainable(network: Any) -> None:
    """Check that Keras tracks every trainable weight of a network.

    Raises:
        InvalidDefinition: A layer has a weight that Keras neither trains nor saves, or that a
            checkpoint of the training would not include.
    """
    lost = [name for name, variable in bare_variables(network).items() if variable.trainable]
    saved = {id(v) for _, v in _variables_by_path(network)}
    unsaved = [name for name, variable in weights_by_name(network).items() if id(variable) not in saved]
    if unsaved:
        raise InvalidDefinition(
            f"network {type(network).__name__}: expected that tf.train.Checkpoint saves all weights, but it"
            f" would not save {len(unsaved)}: {', '.join(unsaved[:5])}. Assign each layer that holds them"
            " to an attribute of the network, or to a list or dict that is one."
        )
    if lost:
        raise InvalidDefinition(
            f"network {type(network).__name__}: expected weights that Keras tracks, got a tf.Variable that"
            f" Keras neither trains nor saves: {', '.join(lost[:5])}. Create the variable with the layer's"
            " add_weight, or set trainable=False if its value never changes."
        )


def trainable_weights(network: Any) -> list[Any]:
    """The trainable weights in a stable order, including those of Keras' layers in a `tf.Module`."""
    if known_by_own_names(network):
        return list(network.trainable_variables)
    variables = list(_variables_below(network))
    if not any(isinstance(variable, keras.Variable) for _, variable in variables):
        return list(network.trainable_variables)
    return [variable for _, variable in variables if variable.trainable]


def is_random_state(name: str) -> bool:
    """Whether a variable of that name holds the state of a random generator."""
    return name.rpartition("/")[2] in ("seed_generator_state", "_state_var")


def known_by_own_names(network: Any) -> bool:
    """Whether a network's variables have their own names (Keras), or only paths."""
    return isinstance(network, keras.Model)


def copy_weights(source: Any, target: Any) -> None:
    """Assign every weight of `target` from the weight of that name in `source`.

    Raises:
        InvalidDefinition: `source` lacks one, or has it with another shape.
    """
    values = weights_by_name(source)
    for name, variable in weights_by_name(target).items():
        if name not in values or values[name].shape != variable.shape:
            raise InvalidDefinition(
                f"variable {name!r} {variable.shape}: expected the same variable in the training network,"
                f" got {values[name].shape if name in values else 'none'}. Give each layer the same name in"
                " every mode."
            )
        variable.assign(values[name])
    renew_derived_constants(target)


def layers_of(network: Any) -> Iterator[keras.layers.Layer]:
    """The layers of Keras in a model or a `tf.Module`, at any depth."""
    if isinstance(network, keras.Model):
        yield from every_layer(network)
    elif isinstance(network, tf.Module):
        objects = tf.train.TrackableView(network).descendants()
        layers = (item for item in objects if isinstance(item, keras.layers.Layer))
        yield from {id(inner): inner for layer in layers for inner in every_layer(layer)}.values()


# Converting it for every traced function takes longer than running it.
@tf.autograph.experimental.do_not_convert
def renew_derived_constants(network: Any) -> None:
    """Compute again the constants that layers derived from their weights.

    Keras' Normalization derives them from its mean and variance when it is built, and a lookup in tf_idf
    mode from its document frequencies; weights that are restored later would have no effect. In a traced
    function the weights are read in the graph.
    """
    for layer in layers_of(network):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
        elif isinstance(vars(layer).get("idf_weights"), tf.Variable):
            layer.idf_weights_const = layer.idf_weights.value()


def _named_by_keras(network: Any) -> dict[str, Any]:
    paths = {id(variable.value): variable.path for variable in network.variables}
    times = Counter(paths.values())
    items = tf.train.TrackableView(network).descendants()
    variables = {id(v): v for v in items if isinstance(v, tf.Variable)} | {
        id(v.value): v.value for v in network.variables
    }
    unclear = [v for key, v in variables.items() if key not in paths or times[paths[key]] > 1]
    named = {path: v.value for v in network.variables if times[path := v.path] == 1}
    if unclear:
        named |= _named_by_layers(network, {id(variable) for variable in unclear})
    return named


def _named_by_layers(network: Any, unclear: set[int]) -> dict[str, Any]:
    """Variables by the names of the layers that contain them, and their own or their attribute's name."""
    named: dict[str, Any] = {}
    named_ids: set[int] = set()
    queue: list[tuple[Any, tuple[str, ...]]] = [(network, ())]
    visited = {id(network)}
    for layer, path in queue:
        for inner in inner_layers(layer):
            if id(inner) not in visited:
                visited.add(id(inner))
                queue.append((inner, (*path, inner.name)))
        for attribute, item in _variables_below(layer, within=keras.layers.Layer):
            variable = item.value if isinstance(item, keras.Variable) else item
            if id(variable) in unclear - named_ids:
                named_ids.add(id(variable))
                own = item.name if isinstance(item, keras.Variable) else attribute
                name = "/".join((*path, own))
                named["/".join((*path, attribute)) if name in named else name] = variable
    return named


def _variables_by_path(root: Any) -> Iterator[tuple[str, Any]]:
    for path, variable in _variables_below(root):
        yield path, variable.value if isinstance(variable, keras.Variable) else variable


def _variables_below(root: Any, within: type | tuple[type, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The variables below an object, by their paths of attributes; `within` is not entered."""
    view, visited, queue = tf.train.TrackableView(root), {id(root)}, [("", root)]
    for path, node in queue:
        children: Mapping[str, Any] = view.children(node)
        for name, child in children.items():
            if id(child) in visited or isinstance(child, within):
                continue
            visited.add(id(child))
            queue.append((f"{path}/{name}" if path else name, child))
            if isinstance(child, tf.Variable | keras.Variable):
                yield queue[-1]
