"""Networks of any kind, drawn and compared by the names of their variables.

Keras models are known by their variables' paths (`conv_1/kernel`), which do not
change when a layer without weights is left out; `tf.Module`s by the path of
attributes that leads to each variable (`layers/0/kernel`).
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
    follow_containers(layers_of(network))
    return network


def build_layers(
    definition: ModelDefinition, network: Any, mode: Mode, scope: AbstractContextManager[None]
) -> None:
    """Have layers make their variables that Keras makes when they are first called.

    An optimizer, an average and a copy of the weights see only variables that exist.

    Args:
        definition: The model.
        network: What it drew for the mode.
        mode: What the graph is for.
        scope: What `build` ran in.

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
    """The variables that hold weights, as `tf.Variable`s under their names.

    The states of random generators (dropout keeps one) are left out: they are no weights. Variables of
    one name are distinguished by the layers that lead to them, `left/dense/kernel`; what a Keras layer holds
    without Keras' knowledge, a bare `tf.Variable`, is named after its layer and its attribute.
    """
    named = _named_by_keras(network) if known_by_own_names(network) else dict(_variables_by_path(network))
    return {name: variable for name, variable in named.items() if not is_random_state(name)}


def bare_variables(network: Any) -> dict[str, Any]:
    """The `tf.Variable`s that layers of Keras hold without its knowledge, by their names; it trains none."""
    if not known_by_own_names(network):
        return {}
    known = {id(variable.value) for variable in network.variables}
    return {name: v for name, v in weights_by_name(network).items() if id(v) not in known}


def demand_trainable(network: Any) -> None:
    """Demand that Keras knows every weight of a network that training would change.

    Raises:
        InvalidDefinition: A layer holds one that Keras neither trains nor saves, or that no checkpoint
            of the training would hold.
    """
    lost = [name for name, variable in bare_variables(network).items() if variable.trainable]
    saved = {id(v) for _, v in _variables_by_path(network)}
    unsaved = [name for name, variable in weights_by_name(network).items() if id(variable) not in saved]
    if unsaved:
        raise InvalidDefinition(
            f"network {type(network).__name__}: expected weights that a tf.train.Checkpoint saves, got"
            f" others: {', '.join(unsaved[:5])} ({len(unsaved)} in all). Make each layer that holds them an"
            " attribute of its own, or keep it in a list or a dict."
        )
    if lost:
        raise InvalidDefinition(
            f"network {type(network).__name__}: expected weights that Keras knows, got a tf.Variable that it"
            f" neither trains nor saves: {', '.join(lost[:5])}. Make it by the layer's add_weight, or with"
            " trainable=False if it stays as it is."
        )


def trainable_weights(network: Any) -> list[Any]:
    """What training changes, in an order that stays; of a `tf.Module` also what Keras' layers in it hold."""
    if known_by_own_names(network):
        return list(network.trainable_variables)
    held = list(_held_by_path(network))
    if not any(isinstance(variable, keras.Variable) for _, variable in held):
        return list(network.trainable_variables)
    return [variable for _, variable in held if variable.trainable]


def is_random_state(name: str) -> bool:
    """Whether a variable of that name holds the state of a random generator."""
    return name.rpartition("/")[2] in ("seed_generator_state", "_state_var")


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


def layers_of(network: Any) -> Iterator[keras.layers.Layer]:
    """The layers of Keras in a network, at any depth: those of a model, or those that a `tf.Module` holds."""
    if isinstance(network, keras.Model):
        yield from every_layer(network)
    elif isinstance(network, tf.Module):
        held = tf.train.TrackableView(network).descendants()
        layers = (item for item in held if isinstance(item, keras.layers.Layer))
        yield from {id(inner): inner for layer in layers for inner in every_layer(layer)}.values()


# Converting it for every function that is traced takes longer than running it.
@tf.autograph.experimental.do_not_convert
def renew_derived_constants(network: Any) -> None:
    """Make again what layers keep as constants that they once computed from their weights.

    Keras' Normalization does, of its mean and variance, when it is built, and a lookup in tf_idf mode of
    its document frequencies; weights that come later, from a checkpoint, would change nothing. In a
    function that is traced it reads them in the graph.
    """
    for layer in layers_of(network):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
        elif isinstance(vars(layer).get("idf_weights"), tf.Variable):
            layer.idf_weights_const = layer.idf_weights.value()


def _named_by_keras(network: Any) -> dict[str, Any]:
    known = {id(variable.value): variable.path for variable in network.variables}
    times = Counter(known.values())
    items = tf.train.TrackableView(network).descendants()
    held = {id(v): v for v in items if isinstance(v, tf.Variable)} | {
        id(v.value): v.value for v in network.variables
    }
    unclear = [v for key, v in held.items() if key not in known or times[known[key]] > 1]
    named = {path: v.value for v in network.variables if times[path := v.path] == 1}
    if unclear:
        named |= _named_by_layers(network, {id(variable) for variable in unclear})
    return named


def _named_by_layers(network: Any, wanted: set[int]) -> dict[str, Any]:
    """Variables by the names of the layers that lead to them, and their own or that of their attribute."""
    named: dict[str, Any] = {}
    taken: set[int] = set()
    queue: list[tuple[Any, tuple[str, ...]]] = [(network, ())]
    seen = {id(network)}
    for layer, path in queue:
        for inner in inner_layers(layer):
            if id(inner) not in seen:
                seen.add(id(inner))
                queue.append((inner, (*path, inner.name)))
        for attribute, item in _held_by_path(layer, within=keras.layers.Layer):
            variable = item.value if isinstance(item, keras.Variable) else item
            if id(variable) in wanted - taken:
                taken.add(id(variable))
                own = item.name if isinstance(item, keras.Variable) else attribute
                name = "/".join((*path, own))
                named["/".join((*path, attribute)) if name in named else name] = variable
    return named


def _variables_by_path(root: Any) -> Iterator[tuple[str, Any]]:
    for path, variable in _held_by_path(root):
        yield path, variable.value if isinstance(variable, keras.Variable) else variable


def _held_by_path(root: Any, within: type | tuple[type, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The variables that an object holds, by the attributes that lead to them; `within` is not entered."""
    view, seen, queue = tf.train.TrackableView(root), {id(root)}, [("", root)]
    for path, node in queue:
        children: Mapping[str, Any] = view.children(node)
        for name, child in children.items():
            if id(child) in seen or isinstance(child, within):
                continue
            seen.add(id(child))
            queue.append((f"{path}/{name}" if path else name, child))
            if isinstance(child, tf.Variable | keras.Variable):
                yield queue[-1]
