"""Uses of Keras outside of its public API; all of it is that of Keras 3.15."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common.masking import get_keras_mask
from keras.src.layers.merging.base_merge import Merge
from keras.src.models.functional import Functional
from keras.src.saving import saving_lib
from keras.src.saving.keras_saveable import KerasSaveable
from keras.src.utils.naming import to_snake_case as to_snake_case

from redraw.compat.tensorflow import copy_to_cpu

_PAIR = 2


def every_layer(network: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers of a network or a layer, at any depth; the public `layers` has only the outer ones."""
    yield from network._flatten_layers()


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call in a functional model.

    Attributes:
        operation: The called layer, or operation of `keras.ops`.
        positional: The positional arguments.
        keywords: The keyword arguments.
        outputs: The tensors that it returns.
    """

    operation: Any
    positional: tuple[Any, ...]
    keywords: Mapping[str, Any]
    outputs: tuple[Any, ...]


def functional_of(network: Any) -> Any:
    """The functional model that a Keras model is or wraps; None for a class with its own `call`.

    A Sequential keeps its own under a private name.
    """
    network = network._functional if isinstance(network, keras.Sequential) else network
    return network if isinstance(network, Functional) else None


def calls_of(functional: Any) -> Iterator[Call]:
    """The calls of a functional model, each after those whose outputs it uses.

    Keras has no public API for the arguments of calls. It ends with one.
    """
    for _, nodes in sorted(functional._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if not node.is_input:
                positional = tuple(node.arguments.args)
                named = dict(node.arguments.kwargs)
                yield Call(
                    operation=node.operation,
                    positional=positional,
                    keywords=named,
                    outputs=tuple(node.outputs),
                )


def merges_masks(call: Call) -> bool:
    """Whether a call merges inputs with different masks, or of which only some have a mask.

    Keras has no public API for a tensor's mask outside of a call. It ends with one.
    """
    operation = call.operation
    inputs = [item for item in keras.tree.flatten(call.positional) if isinstance(item, keras.KerasTensor)]
    if not isinstance(operation, Merge) or isinstance(operation, keras.layers.Dot) or len(inputs) < _PAIR:
        return False
    rank = len(call.outputs[0].shape)
    if isinstance(operation, keras.layers.Concatenate) and operation.axis % rank != rank - 1:
        return False
    masks = [get_keras_mask(item) for item in inputs]
    return any(not _same_tensor(masks[0], mask) for mask in masks[1:])


def _same_tensor(first: Any, second: Any) -> bool:
    """Whether two tensors are the same, or computed in the same way from the same tensors."""
    if first is second or None in (first, second):
        return first is second
    if not isinstance(first, keras.KerasTensor) or not isinstance(second, keras.KerasTensor):
        return bool(first == second)
    (a, arguments), (b, others) = _made_by(first), _made_by(second)
    if type(a) is not type(b) or isinstance(a, keras.layers.Layer):
        return False
    return len(arguments) == len(others) and all(map(_same_tensor, arguments, others))


def _made_by(tensor: Any) -> tuple[Any, list[Any]]:
    history = tensor._keras_history
    arguments = history.operation._inbound_nodes[history.node_index].arguments
    return history.operation, keras.tree.flatten([*arguments.args, arguments.kwargs])


def optimizer_averages(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """The moving averages of a built optimizer with `use_ema`, in the order of its trained variables.

    They are among the public `variables`, which does not mark them.
    """
    return list(optimizer._model_variables_moving_average)


def take_gradient_sum(optimizer: keras.optimizers.Optimizer) -> Callable[[Any], Any]:
    """Stop an optimizer from summing gradients over replicas; return its function, to call it earlier.

    Keras sums them after clipping those of each replica. It has no public switch:
    `tf.keras.optimizers` had `experimental_aggregate_gradients` until Keras 3.
    """
    summing: Callable[[Any], Any] = optimizer._all_reduce_sum_gradients
    optimizer._all_reduce_sum_gradients = list
    return summing


def repair_async_saving() -> None:
    """Replace the hook that copies a Keras variable for an asynchronous checkpoint.

    Keras 3.15 makes a new `tf.Variable` each time it is called (keras-team/keras#18749 brought the hook);
    TensorFlow calls it inside a `tf.function`, where the second save then fails with "tf.function only
    supports singleton tf.Variables". The copy that TensorFlow has already made of the variable's value
    serves as well. It ends with a Keras that keeps its copy.
    """
    keras.Variable._copy_trackable_to_cpu = _copy_trackable_to_cpu


def finish_saving(checkpoint: tf.train.Checkpoint) -> None:
    """Wait for a checkpoint's asynchronous saves, and raise the error of the last one.

    TensorFlow's `sync` only waits: it raises the error of a save at the next save, and never that of the
    last one. It ends with a public API for it.
    """
    checkpoint.sync()
    if (saving := checkpoint._async_checkpointer_impl) is not None:
        saving._check_async_thread_error()


def _copy_trackable_to_cpu(variable: Any, object_map: dict[Any, Any]) -> None:
    object_map[variable] = copy_to_cpu(variable.value, object_map)


def inner_layers(layer: Any) -> list[keras.layers.Layer]:
    """The direct inner layers of a layer or a model; only a model has the public `layers`."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def added_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """A layer's own weights, without those of inner layers, which its public `weights` include.

    It ends with a public API for a layer's own weights.
    """
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def own_attributes(layer: keras.layers.Layer) -> dict[str, Any]:
    """The attributes of a layer's own class, by name, without those that Keras keeps in every layer.

    Keras has no public API to distinguish them. It ends with one.
    """
    private = type(layer).__module__.startswith("keras.")
    skipped = saving_lib.get_attr_skipset(layer._obj_type())
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in skipped and not (private and name.startswith("_"))
    }


def saved_places(network: keras.Model) -> dict[str, Any]:
    """The places in a file where `save_weights` puts each variable of a network; nothing is run or written.

    Keras has no public API for it. It ends with one. The variables of a layer that overrides
    `save_own_variables` or `load_own_variables` have no place, because only the layer's code knows it. The
    overrides of Keras' own layers are known.

    Returns:
        Place, such as `layers/dense/vars/0`, to the `tf.Variable` that is saved there.
    """
    return {
        place: variable
        for path, part in _saved_parts(network, "", {})
        for place, variable in saved_variables(path, part)
    }


def _saved_parts(item: Any, path: str, visited: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    """Every part of a model in the order and under the paths of Keras' own walk.

    Visited items are kept alive: otherwise another list may get the id of a deleted one.
    """
    if isinstance(item, KerasSaveable):
        if id(item) in visited:
            return
        visited[id(item)] = item
        yield path, item
        for attribute, child in saving_lib._walk_saveable(item):
            yield from _saved_parts(child, f"{path}/{attribute}" if path else attribute, visited)
    elif isinstance(item, list | dict | tuple) and id(item) not in visited:
        visited[id(item)] = item
        used: dict[str, int] = {}
        for child in item.values() if isinstance(item, dict) else item:
            if isinstance(child, KerasSaveable | list | dict | tuple):
                kind = type(child).__name__ if isinstance(child, KerasSaveable) else "container"
                yield from _saved_parts(child, f"{path}/{container_name(kind, used)}", visited)


def container_name(kind: str, used: dict[str, int]) -> str:
    """The name of the next object of a class in a list in Keras' files: `dense`, then `dense_1`.

    Args:
        kind: The name of the class.
        used: Name to how often it was used; it is updated.
    """
    name: str = saving_lib._get_unique_name(to_snake_case(kind), used)
    return name


def saved_variables(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    """The variables that a part of a model saves itself.

    Args:
        path: The part's path, such as `layers/dense`; empty for the model.
        part: A layer, or another saveable part.

    Yields:
        Place and `tf.Variable`.
    """
    for key, variable in _saved_variables(part):
        value = variable.value if isinstance(variable, keras.Variable) else variable
        yield f"{path}/vars/{key}" if path else f"vars/{key}", value


def _saved_variables(layer: Any) -> Iterator[tuple[str, Any]]:
    """The variables that a layer saves itself, by their keys in its group."""
    if not isinstance(layer, keras.layers.Layer):
        return
    saver, loader = type(layer).save_own_variables, type(layer).load_own_variables
    if not loader.__module__.startswith("keras.src."):
        return
    lookup = layer._lookup_layer if isinstance(layer, keras.layers.TextVectorization) else layer
    if isinstance(vars(lookup).get("idf_weights"), tf.Variable):
        yield "idf_weights", lookup.idf_weights
    elif saver is keras.layers.Layer.save_own_variables:
        variables = (*layer._trainable_variables, *layer._non_trainable_variables)
        yield from ((str(number), variable) for number, variable in enumerate(variables))
    elif saver.__module__.startswith("keras.src."):
        mode = getattr(layer, "quantization_mode", None)
        plain = ("kernel", "bias") if mode is None else ()
        names = getattr(layer, "variable_serialization_spec", {}).get(mode, plain)
        own = (vars(layer).get(f"_{name}", vars(layer).get(name)) for name in names)
        yield from ((str(number), v) for number, v in enumerate(v for v in own if v is not None))
