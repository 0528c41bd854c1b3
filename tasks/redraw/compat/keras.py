"""What Redraw uses of Keras that is not its public API; all of it is that of Keras 3.15."""

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
from keras.src.utils.naming import to_snake_case

from redraw.compat.tensorflow import copy_to_cpu

__all__ = [
    "added_weights",
    "Call",
    "calls_of",
    "container_name",
    "every_layer",
    "finish_saving",
    "functional_of",
    "inner_layers",
    "merges_masks",
    "optimizer_averages",
    "own_attributes",
    "repair_async_saving",
    "saved_places",
    "saved_variables",
    "take_gradient_sum",
    "to_snake_case",
]

_PAIR = 2


def every_layer(network: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """A network's or a layer's layers, and those inside of layers; the public `layers` has the outer ones."""
    yield from network._flatten_layers()


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call in a functional model.

    Attributes:
        operation: What is called: a layer, or an operation of `keras.ops`.
        positional: What it is called with without a name.
        keywords: What it is called with by name.
        outputs: The tensors that it gives.
    """

    operation: Any
    positional: tuple[Any, ...]
    keywords: Mapping[str, Any]
    outputs: tuple[Any, ...]


def functional_of(network: Any) -> Any:
    """The functional model that a Keras model is or wraps; None of a class with a `call` of its own.

    A Sequential keeps its own under a private name.
    """
    network = network._functional if isinstance(network, keras.Sequential) else network
    return network if isinstance(network, Functional) else None


def calls_of(functional: Any) -> Iterator[Call]:
    """The calls of a functional model, each after those that it needs.

    Keras has no public way to ask which layer is called with what. It ends with one.
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
    """Whether a call merges inputs of which some have a mask, and others another one or none.

    Keras has no public way to ask for a tensor's mask outside of a call. It ends with one.
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
    """Whether two tensors are one, or made in the same way of the same ones."""
    if first is second or None in (first, second):
        return first is second
    if not isinstance(first, keras.KerasTensor) or not isinstance(second, keras.KerasTensor):
        return bool(first == second)
    (a, left), (b, right) = _made_by(first), _made_by(second)
    if type(a) is not type(b) or isinstance(a, keras.layers.Layer):
        return False
    return len(left) == len(right) and all(map(_same_tensor, left, right))


def _made_by(tensor: Any) -> tuple[Any, list[Any]]:
    history = tensor._keras_history
    arguments = history.operation._inbound_nodes[history.node_index].arguments
    return history.operation, keras.tree.flatten([*arguments.args, arguments.kwargs])


def optimizer_averages(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """The moving averages of a built optimizer with `use_ema`, in the order of what it trains.

    They are among the public `variables`, which does not say which they are.
    """
    return list(optimizer._model_variables_moving_average)


def take_gradient_sum(optimizer: keras.optimizers.Optimizer) -> Callable[[Any], Any]:
    """Have an optimizer sum no gradients up over replicas; returns what did, for its caller to do earlier.

    Keras sums up after it has clipped each replica's for itself. It has no public switch:
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
    """Wait for a checkpoint's asynchronous saves, and raise what went wrong in the last one.

    TensorFlow's `sync` only waits: it raises the error of a save at the next one, and that of the last at no
    time. It ends with a public way to ask.
    """
    checkpoint.sync()
    if (saving := checkpoint._async_checkpointer_impl) is not None:
        saving._check_async_thread_error()


def _copy_trackable_to_cpu(variable: Any, object_map: dict[Any, Any]) -> None:
    object_map[variable] = copy_to_cpu(variable.value, object_map)


def inner_layers(layer: Any) -> list[keras.layers.Layer]:
    """The layers that a layer or a model holds itself; only a model has the public `layers`."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def added_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """What a layer added by `add_weight` or keeps in an attribute; its public `weights` hold its parts' too.

    It ends with a public way to ask for a layer's own.
    """
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def own_attributes(layer: keras.layers.Layer) -> dict[str, Any]:
    """What the class of a layer keeps, by name; what Keras itself keeps in every layer is not among it.

    Keras has no public way to tell them apart. It ends with one.
    """
    private = type(layer).__module__.startswith("keras.")
    skipped = saving_lib.get_attr_skipset(layer._obj_type())
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in skipped and not (private and name.startswith("_"))
    }


def saved_places(network: keras.Model) -> dict[str, Any]:
    """Where `save_weights` puts each variable of a network; nothing of it runs, and nothing is written.

    Keras has no public way to ask. It ends with one. How a layer that overrides `save_own_variables` or
    `load_own_variables` saves and loads, only its own code knows, which may do anything: its variables have
    no place. Of Keras' own layers that do so it is known.

    Returns:
        Place, such as `layers/dense/vars/0`, to the `tf.Variable` that goes there.
    """
    return {
        place: variable
        for path, part in _saved_parts(network, "", {})
        for place, variable in saved_variables(path, part)
    }


def _saved_parts(item: Any, path: str, seen: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    """Every part of a model in the order and under the paths of Keras' own walk.

    What is seen is kept: another list may get the number of one that is gone.
    """
    if isinstance(item, KerasSaveable):
        if id(item) in seen:
            return
        seen[id(item)] = item
        yield path, item
        for attribute, child in saving_lib._walk_saveable(item):
            yield from _saved_parts(child, f"{path}/{attribute}" if path else attribute, seen)
    elif isinstance(item, list | dict | tuple) and id(item) not in seen:
        seen[id(item)] = item
        used: dict[str, int] = {}
        for child in item.values() if isinstance(item, dict) else item:
            if isinstance(child, KerasSaveable | list | dict | tuple):
                kind = type(child).__name__ if isinstance(child, KerasSaveable) else "container"
                yield from _saved_parts(child, f"{path}/{container_name(kind, used)}", seen)


def container_name(kind: str, used: dict[str, int]) -> str:
    """What Keras' files call the next object of a class in a list: `dense`, then `dense_1`.

    Args:
        kind: The name of the class.
        used: How many were named so; this one is added.
    """
    name: str = saving_lib._get_unique_name(to_snake_case(kind), used)
    return name


def saved_variables(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    """What a part of a model saves itself.

    Args:
        path: That of the part, such as `layers/dense`; empty for the model.
        part: A layer, or what else a model is saved with.

    Yields:
        Place and `tf.Variable`.
    """
    for key, variable in _saved_variables(part):
        held = variable.value if isinstance(variable, keras.Variable) else variable
        yield f"{path}/vars/{key}" if path else f"vars/{key}", held


def _saved_variables(layer: Any) -> Iterator[tuple[str, Any]]:
    """The same by the key in its group."""
    if not isinstance(layer, keras.layers.Layer):
        return
    saver, loader = type(layer).save_own_variables, type(layer).load_own_variables
    if not loader.__module__.startswith("keras.src."):
        return
    lookup = layer._lookup_layer if isinstance(layer, keras.layers.TextVectorization) else layer
    if isinstance(vars(lookup).get("idf_weights"), tf.Variable):
        yield "idf_weights", lookup.idf_weights
    elif saver is keras.layers.Layer.save_own_variables:
        held = (*layer._trainable_variables, *layer._non_trainable_variables)
        yield from ((str(number), variable) for number, variable in enumerate(held))
    elif saver.__module__.startswith("keras.src."):
        mode = getattr(layer, "quantization_mode", None)
        plain = ("kernel", "bias") if mode is None else ()
        names = getattr(layer, "variable_serialization_spec", {}).get(mode, plain)
        own = (vars(layer).get(f"_{name}", vars(layer).get(name)) for name in names)
        yield from ((str(number), v) for number, v in enumerate(v for v in own if v is not None))
